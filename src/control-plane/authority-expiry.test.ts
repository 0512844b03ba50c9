import { expect, it, vi } from "vitest";
import { fakeClock } from "../foundation/clock.fake.ts";
import { silentLogger } from "../foundation/logger.ts";
import type { Authority } from "../identity/authority.ts";
import { createAuthority, openAuthority } from "../identity/authority.ts";
import { testCompanyAuthority } from "../identity/given-authority.fake.ts";
import { readGivenAuthority } from "../identity/given-authority.ts";
import { warnBeforeExpiry } from "./authority-expiry.ts";

const DAY_MS = 86_400_000;

/** What is said in the days of `clock` until `days` are over. */
async function saidWithin(authority: Authority, start: number, days: number): Promise<string[]> {
  const clock = fakeClock(start);
  const said: string[] = [];
  const log = { ...silentLogger, warn: vi.fn((text: string) => void said.push(text)) };
  const over = new AbortController();
  const watching = warnBeforeExpiry(authority, { clock, log }, over.signal);
  for (let day = 0; day < days; day++) await clock.advance(DAY_MS);
  over.abort();
  await watching;
  expect(clock.sleeping).toBe(0);
  return said;
}

it("says that an authority of one's own expires once a day, from 30 days before on, and once it is over", async () => {
  // Certificates know whole seconds.
  const now = Math.floor(Date.now() / 1000) * 1000 + 500;
  const { file } = testCompanyAuthority({ expires: new Date(now + 33 * DAY_MS) });
  const given = readGivenAuthority(file, "acme.pem", "p", now);
  const authority = openAuthority("p", await createAuthority("p", given));
  const said = await saidWithin(authority, now, 36);
  expect(said.filter((text) => text.includes("is about to expire"))).toHaveLength(30);
  expect(said.filter((text) => text.includes("has expired")).length).toBe(4);
});

it("says nothing where the pipeline has the authority alone that flowctl makes", async () => {
  expect(await saidWithin(openAuthority("p", await createAuthority("p")), Date.now(), 3)).toEqual([]);
});

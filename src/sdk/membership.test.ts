import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Working } from "../client/client.ts";
import { type FakeClock, fakeClock } from "../foundation/clock.fake.ts";
import { FlowctlError } from "../foundation/errors.ts";
import { silentLogger } from "../foundation/logger.ts";
import type { Authority } from "../identity/authority.ts";
import { instanceName, testAuthority } from "../identity/identity.fake.ts";
import { joinPem } from "../identity/pem.ts";
import { Membership } from "./membership.ts";

const HOUR = 60 * 60 * 1000;
const LIFE = 24 * HOUR;

let folder: string;
let clock: FakeClock;
let authority: Authority;
let membership: Membership;
let joins: number;
/** What the next joins and renewals are refused with. */
let refusal: FlowctlError | undefined;
let renewals: number;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "flowctl-membership-"));
  clock = fakeClock(Date.UTC(2026, 0));
  authority = await testAuthority();
  joins = 0;
  renewals = 0;
  refusal = undefined;
  const key = join(folder, "k-1.pem");
  await writeFile(join(folder, "ca.pem"), authority.certificate);
  await writeFile(key, joinPem(await authority.issue(instanceName("k", "joining"))));
  membership = await Membership.join(
    {
      environment: {
        instance: { pipeline: "p", componentId: "k", instanceId: "k-1", index: 1, replicas: 1 },
        controlPlane: "nowhere:1",
        identity: { ca: join(folder, "ca.pem"), certificate: key, key },
      },
      clock,
      log: silentLogger,
      join: async () => {
        joins++;
        if (refusal !== undefined) throw refusal;
        return { ...(await working()), next: await authority.issue(instanceName("k", "joining")) };
      },
    },
    AbortSignal.timeout(10_000),
  );
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function working(): Promise<Working> {
  const expires = new Date(clock.now() + LIFE);
  return { working: await authority.issue(instanceName("k"), { expires }), renewAfterMs: LIFE / 3 };
}

const renew = async (): Promise<Working> => {
  renewals++;
  if (refusal !== undefined) throw refusal;
  return working();
};

function refused(code: string, kind: FlowctlError["kind"]): FlowctlError {
  return new FlowctlError({ code, kind, message: "refused" });
}

/** Keeps it while time passes in steps, in which whatever reads files and makes keys gets its turn, until `isOver`. */
async function keptUntil(isOver: () => boolean, stepMs = 1_000): Promise<void> {
  const over = new AbortController();
  let failure: { readonly error: unknown } | undefined;
  const kept = membership.keep({ renew }, over.signal).catch((error: unknown) => {
    failure = { error };
  });
  while (!isOver() && failure === undefined) {
    await clock.advance(stepMs);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  over.abort();
  await kept;
  if (failure !== undefined) throw failure.error;
}

describe("a working certificate", () => {
  it("is renewed after a third of its life", async () => {
    const begun = clock.elapsed();
    await keptUntil(() => renewals > 0, 60_000);
    expect(clock.elapsed() - begun).toBeGreaterThan(7 * HOUR);
    expect(clock.elapsed() - begun).toBeLessThan(8 * HOUR + 2 * 60_000);
  });

  it("is renewed when the clock says so although less time has passed for the program", async () => {
    clock.jump(9 * HOUR);
    await keptUntil(() => renewals > 0);
    expect(clock.elapsed() - Date.UTC(2026, 0)).toBeLessThan(60_000);
    expect(joins).toBe(1);
  });

  it("is asked for ever more rarely while that fails, and the clock is still looked at", async () => {
    clock.jump(9 * HOUR);
    refusal = refused("client/unreachable", "unavailable");
    const until = clock.elapsed() + 10 * 60_000;
    await keptUntil(() => clock.elapsed() >= until);
    // Every half minute at most, after the first six: every five seconds it would be 120.
    expect(renewals).toBeGreaterThan(15);
    expect(renewals).toBeLessThan(50);
    expect(membership.isChanging).toBe(false);
    clock.jump(LIFE);
    expect(membership.isChanging).toBe(true);
    await keptUntil(() => joins > 1);
  });

  it("that has expired is replaced by joining again", async () => {
    const before = membership.identity.current();
    clock.jump(LIFE);
    expect(membership.isChanging).toBe(true);
    await keptUntil(() => membership.identity.current() !== before);
    expect(membership.isChanging).toBe(false);
    expect([joins, renewals]).toEqual([2, 0]);
  });

  it("that may be void by now is replaced by joining again, though the clock was set back", async () => {
    clock.jump(LIFE);
    refusal = refused("client/unreachable", "unavailable");
    await keptUntil(() => joins > 1);
    clock.jump(-LIFE);
    expect(membership.isChanging).toBe(true);
    refusal = undefined;
    await keptUntil(() => !membership.isChanging);
    expect(renewals).toBe(0);
  });

  it("that has expired by the clock of the control plane alone is replaced by joining again", async () => {
    clock.jump(9 * HOUR);
    refusal = refused("identity/expired", "unauthenticated");
    await keptUntil(() => renewals > 0);
    refusal = undefined;
    await keptUntil(() => joins > 1 && !membership.isChanging);
    expect(renewals).toBe(1);
  });

  it("of an instance that is not wanted any more is good until its end", async () => {
    clock.jump(9 * HOUR);
    refusal = refused("identity/not-wanted", "denied");
    await keptUntil(() => renewals > 3);
    clock.jump(LIFE);
    await expect(keptUntil(() => false)).rejects.toMatchObject({ code: "identity/not-wanted" });
  });

  it("ends the instance when it is refused for good", async () => {
    clock.jump(9 * HOUR);
    refusal = refused("identity/superseded", "unauthenticated");
    await expect(keptUntil(() => false)).rejects.toMatchObject({ code: "identity/superseded" });
  });
});

describe("an instance that is to join again", () => {
  it("waits for files that cannot be read", async () => {
    const key = join(folder, "k-1.pem");
    const kept = await readFile(key, "utf8");
    await rm(key);
    clock.jump(LIFE);
    const until = clock.elapsed() + 60_000;
    await keptUntil(() => clock.elapsed() >= until);
    await writeFile(key, kept);
    await keptUntil(() => !membership.isChanging);
    expect(joins).toBe(2);
  });
});

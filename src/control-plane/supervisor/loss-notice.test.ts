import { expect, it } from "vitest";
import { fakeClock } from "../../foundation/clock.fake.ts";
import { silentLogger } from "../../foundation/logger.ts";
import { LossNotice } from "./loss-notice.ts";

it("says once that the driver is lost and once that it is back, and nothing of what comes and goes within a minute", async () => {
  const clock = fakeClock(0);
  const said: string[] = [];
  const write = (message: string): void => void said.push(message);
  const notice = new LossNotice({ clock, log: { ...silentLogger, warn: write, info: write } });
  const both = ["lost the event stream of the driver", "the driver answers again"];
  notice.back();
  expect(said).toEqual([]);
  for (let attempt = 0; attempt < 5; attempt++) notice.lost(new Error("gone"));
  expect(said).toEqual(both.slice(0, 1));
  notice.back();
  notice.back();
  expect(said).toEqual(both);
  notice.lost(new Error("gone"));
  notice.back();
  expect(said).toEqual(both);
  await clock.advance(60_000);
  notice.lost(new Error("gone"));
  notice.back();
  expect(said).toEqual([...both, ...both]);
});

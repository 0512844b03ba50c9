import type { Row } from "../results-table.ts";
import { interleave } from "../samples.ts";
import { type StreamBench, scaled, streaming } from "./contender.ts";
import { typeOfGroup } from "./parts/settings.ts";
import { fanOut } from "./plans.ts";
import { Programs } from "./programs.ts";

const SINKS = 3;

/**
 * One source and three sinks, events per second at the slowest: encoded once for all, against a source that encodes each
 * event anew for each sink, and against proto-loader, which cannot but do that.
 */
export async function measureFanOut({ rounds, scale }: StreamBench): Promise<readonly Row[]> {
  return await Programs.with(async (programs) => {
    const options = { size: 180, count: scaled(600_000, scale) };
    const plan = fanOut(SINKS);
    const anew = fanOut(SINKS, (sink) => [typeOfGroup(sink)]);
    const [once, thrice, loader] = await interleave(
      [
        streaming(programs, "flowctl, encoded once", { ...options, program: "flowctl", plan }),
        streaming(programs, "flowctl, encoded three times", { ...options, program: "flowctl", plan: anew, anew: true }),
        streaming(programs, "proto-loader, 256 a message", { ...options, program: "loader", plan, batch: 256 }),
      ],
      rounds,
    );
    const row = { what: "fan-out to 3, 180 B", unit: "events/s", measured: once! };
    return [
      { ...row, baseline: thrice!, goal: { atLeast: 1.5 } },
      { ...row, baseline: loader! },
    ];
  });
}

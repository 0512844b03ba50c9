import type { Row } from "../results-table.ts";
import type { StreamBench } from "./contender.ts";
import { linear } from "./plans.ts";
import { Programs } from "./programs.ts";
import { runParts } from "./run-parts.ts";

/** Long enough that warming up is little of it: in 4 s it makes the 99th percentile twice as large. */
const SECONDS = 12;

/** Milliseconds from the source to the sink through a filter, at a steady rate. */
export async function measureLatency({ rounds, scale }: StreamBench): Promise<readonly Row[]> {
  return await Programs.with(async (programs) => {
    const rates = [1_000, 10_000];
    const p50 = rates.map((): number[] => []);
    const p99 = rates.map((): number[] => []);
    for (let round = 0; round <= rounds; round++) {
      for (const [index, rate] of rates.entries()) {
        const count = Math.ceil(rate * SECONDS * scale);
        const { sinks } = await runParts(programs, {
          program: "flowctl",
          plan: linear("filter"),
          size: 0,
          count,
          rate,
        });
        if (round === 0) continue;
        p50[index]!.push(sinks.sink!.p50);
        p99[index]!.push(sinks.sink!.p99);
      }
    }
    return rates.flatMap((rate, index): readonly Row[] => {
      const what = `latency at ${rate.toLocaleString("en-US")} events/s`;
      return [
        { what, unit: "ms", measured: { name: "median", samples: p50[index]! }, goal: { atMost: 0.25 } },
        { what, unit: "ms", measured: { name: "99th percentile", samples: p99[index]! }, goal: { atMost: 2.5 } },
      ];
    });
  });
}

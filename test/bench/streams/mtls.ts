import type { Row } from "../results-table.ts";
import { interleave } from "../samples.ts";
import { type StreamBench, scaled, streaming } from "./contender.ts";
import { linear } from "./plans.ts";
import { Programs } from "./programs.ts";

/** Source → filter → sink where everybody has joined and both ends of each connection show a certificate, against the same in the clear. */
export async function measureMtls({ rounds, scale }: StreamBench): Promise<readonly Row[]> {
  return await Programs.with(async (programs) => {
    const options = {
      program: "flowctl",
      plan: linear("filter"),
      size: 180,
      count: scaled(2_000_000, scale),
    } as const;
    const [mutual, clear] = await interleave(
      [streaming(programs, "mutual TLS", { ...options, identity: true }), streaming(programs, "in the clear", options)],
      rounds,
    );
    return [{ what: "filter, 180 B", unit: "events/s", measured: mutual!, baseline: clear!, goal: { atLeast: 0.65 } }];
  });
}

import type { Row } from "../results-table.ts";
import { interleave } from "../samples.ts";
import { type StreamBench, scaled, streaming } from "./contender.ts";
import { linear } from "./plans.ts";
import { Programs } from "./programs.ts";

/**
 * What acknowledgements, credit, checkpoints and metrics cost: source → filter → sink against the same codec over the same
 * gRPC without any of them, and over HTTP/2 and TCP alone, to see what gRPC costs.
 */
export async function measureGuarantees({ rounds, scale }: StreamBench): Promise<readonly Row[]> {
  return await Programs.with(async (programs) => {
    const options = { plan: linear("filter"), size: 180, count: scaled(800_000, scale) };
    const [own, grpc, http2, tcp] = await interleave(
      [
        streaming(programs, "flowctl", { ...options, program: "flowctl" }),
        streaming(programs, "same codec, gRPC, nothing else", { ...options, program: "grpc" }),
        streaming(programs, "same codec, HTTP/2, nothing else", { ...options, program: "http2" }),
        streaming(programs, "same codec, TCP, nothing else", { ...options, program: "tcp" }),
      ],
      rounds,
    );
    const row = { what: "cost of guarantees, 180 B", unit: "events/s", measured: own! };
    return [
      { ...row, baseline: grpc!, goal: { atLeast: 0.9 } },
      { ...row, baseline: http2! },
      { ...row, baseline: tcp! },
    ];
  });
}

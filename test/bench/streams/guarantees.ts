import type { Goal, Row } from "../results-table.ts";
import { interleave, type Measured } from "../samples.ts";
import { type StreamBench, scaled, streaming } from "./contender.ts";
import { linear } from "./plans.ts";
import { Programs } from "./programs.ts";
import { processorPerEvent, type RunOptions } from "./run-parts.ts";

interface Subject {
  readonly name: string;
  readonly options: Pick<RunOptions, "program" | "awaited">;
  readonly goal?: Goal;
}

const BARE: readonly Subject[] = [
  {
    name: "same codec and calls, gRPC, no guarantees",
    options: { program: "grpc", awaited: true },
    goal: { atLeast: 0.9 },
  },
  { name: "same codec, gRPC, nothing else", options: { program: "grpc" } },
  { name: "same codec, HTTP/2, nothing else", options: { program: "http2" } },
  { name: "same codec and calls, TCP, no guarantees", options: { program: "tcp", awaited: true } },
  { name: "same codec, TCP, nothing else", options: { program: "tcp" } },
];

/**
 * What acknowledgements, credit, checkpoints and metrics cost: source → filter → sink against the same codec over the same
 * gRPC without any of them, with the calls for each event that components have, and without; and over HTTP/2 and TCP alone,
 * to see what gRPC costs.
 */
export async function measureGuarantees({ rounds, scale }: StreamBench): Promise<readonly Row[]> {
  return await Programs.with(async (programs) => {
    const common = { plan: linear("filter"), size: 180, count: scaled(6_000_000, scale) };
    const subjects: readonly Subject[] = [{ name: "flowctl", options: { program: "flowctl" } }, ...BARE];
    const spent = subjects.map(({ name }): Measured & { readonly samples: number[] } => ({ name, samples: [] }));
    const measured = await interleave(
      subjects.map(({ name, options }, index) =>
        streaming(programs, name, { ...common, ...options }, (result) =>
          spent[index]!.samples.push(processorPerEvent(result)),
        ),
      ),
      rounds,
    );
    const what = "cost of guarantees, 180 B";
    const against = (unit: string, [own, ...bare]: readonly Measured[], goalOf: (index: number) => Goal | undefined) =>
      bare.map((baseline, index): Row => {
        const goal = goalOf(index);
        return { what, unit, measured: own!, baseline, ...(goal && { goal }) };
      });
    return [
      ...against("events/s", measured, (index) => BARE[index]!.goal),
      ...against("µs of processor an event", spent, () => undefined),
    ];
  });
}

import type { BufferSpec } from "../../../src/protocol/records.ts";
import { runProgram } from "../../e2e/run-program.ts";
import type { Row } from "../results-table.ts";
import { interleave, type Measured } from "../samples.ts";
import { JETSTREAM, REDIS, throughBroker } from "./broker.ts";
import { type StreamBench, scaled, streaming } from "./contender.ts";
import { buffered, DIRECT, linear } from "./plans.ts";
import { Programs } from "./programs.ts";
import { processorPerEvent } from "./run-parts.ts";

const DISK: BufferSpec = { type: "disk", maxEvents: 0, maxBytes: 1024 ** 3, whenFull: "block" };
/** As many events as flowctl has in a batch. */
const BATCH = 2048;

/**
 * What buffers on disk cost, with a sync (fdatasync) of each write before it is confirmed: source → filter → sink with one on
 * both edges, beside the same without. And source → sink with one in between, beside servers that people put there, to which
 * events go packed by hand, at the same durability. A server that is not installed is left out.
 */
export async function measureDiskBuffers({ rounds, scale }: StreamBench): Promise<readonly Row[]> {
  const brokers = await installed();
  return await Programs.with(async (programs) => {
    const common = { program: "flowctl", size: 180, count: scaled(3_000_000, scale) } as const;
    const spent: Measured & { readonly samples: number[] } = { name: "buffers on both edges", samples: [] };
    const spentWithout: Measured & { readonly samples: number[] } = { name: "no buffers", samples: [] };
    const [both, none, one, ...others] = await interleave(
      [
        streaming(programs, "buffers on both edges", { ...common, plan: buffered(linear("filter"), DISK) }, (result) =>
          spent.samples.push(processorPerEvent(result)),
        ),
        streaming(programs, "no buffers", { ...common, plan: linear("filter") }, (result) =>
          spentWithout.samples.push(processorPerEvent(result)),
        ),
        streaming(programs, "flowctl, one buffer", { ...common, plan: buffered(DIRECT, DISK) }),
        ...brokers.map((broker) => throughBroker(programs, broker, { ...common, batch: BATCH })),
      ],
      rounds,
    );
    const chain = "chain, buffers on disk (fdatasync before each confirmation), 180 B";
    const queue = "one queue on disk (a sync before each confirmation), 180 B";
    return [
      { what: chain, unit: "events/s", measured: both!, baseline: none!, goal: { atLeast: 0.6 } },
      { what: chain, unit: "µs of processor an event", measured: spent, baseline: spentWithout },
      ...others.map((baseline): Row => ({ what: queue, unit: "events/s", measured: one!, baseline })),
    ];
  });
}

async function installed() {
  const found = await Promise.all(
    [JETSTREAM, REDIS].map(async (broker) => {
      const answers = await runProgram(broker.command, ["--version"]).then(
        () => true,
        () => false,
      );
      if (!answers) console.error(`  ${broker.command} is not installed, and left out`);
      return answers ? broker : undefined;
    }),
  );
  return found.filter((broker) => broker !== undefined);
}

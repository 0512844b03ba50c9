import type { Row } from "../results-table.ts";
import { interleave, type Measured } from "../samples.ts";
import { type StreamBench, scaled, streaming } from "./contender.ts";
import { chain, fanOut, linear, type Plan } from "./plans.ts";
import { Programs } from "./programs.ts";
import type { RunResult } from "./run-parts.ts";

interface Series {
  readonly what: string;
  readonly sizes: readonly number[];
  readonly plan: (size: number) => Plan;
  readonly nameOf: (size: number) => string;
  /** Events of a run with one component; larger runs have so many fewer, so that each takes a few seconds. */
  readonly events: number;
  readonly divide: boolean;
}

const REPLICAS: Series = {
  what: "replicas of a JSON map, 180 B",
  sizes: [1, 2, 4, 8],
  plan: (size) => linear("map", size),
  nameOf: (size) => `${size} of the middle`,
  events: 600_000,
  divide: false,
};
const CHAINS: Series = {
  what: "chain of filters, 180 B",
  sizes: [1, 4, 16, 64],
  plan: chain,
  nameOf: (size) => `${size} in a row`,
  events: 1_600_000,
  divide: true,
};
const FAN_OUTS: Series = {
  what: "fan-out to sinks, 180 B",
  sizes: [1, 4, 16, 64],
  plan: (size) => fanOut(size),
  nameOf: (size) => `${size} side by side`,
  events: 2_000_000,
  divide: true,
};
const FEWEST = 80_000;

export const measureReplicas = (bench: StreamBench): Promise<readonly Row[]> => measure(REPLICAS, bench);
export const measureChains = (bench: StreamBench): Promise<readonly Row[]> => measure(CHAINS, bench);
export const measureFanOuts = (bench: StreamBench): Promise<readonly Row[]> => measure(FAN_OUTS, bench);

/** What one run says of its components: means over all of them but for the share. */
interface Use {
  /** MB at the peak. */
  readonly memory: number[];
  /** Per cent of a processor. */
  readonly busy: number[];
  /** Per cent of all processor time that the control plane took. */
  readonly share: number[];
}

/**
 * Throughput, and memory and processors per component, as components become more, and the control plane's share of the
 * processor time.
 */
async function measure(series: Series, { rounds, scale }: StreamBench): Promise<readonly Row[]> {
  const { what, sizes, plan, nameOf, events, divide } = series;
  return await Programs.with(async (programs) => {
    const uses = sizes.map((): Use => ({ memory: [], busy: [], share: [] }));
    const measured = await interleave(
      sizes.map((size, index) =>
        streaming(
          programs,
          nameOf(size),
          {
            program: "flowctl",
            plan: plan(size),
            size: 180,
            count: scaled(divide ? Math.max(FEWEST, events / size) : events, scale),
          },
          (result) => note(uses[index]!, result),
        ),
      ),
      rounds,
    );
    return measured.flatMap((each, index) => rowsOf(what, each, uses[index]!, index === 0 ? undefined : measured[0]));
  });
}

function note(use: Use, { used, busy }: RunResult): void {
  const { "control-plane": plane = 0, ...components } = busy;
  const seconds = Object.values(components);
  const total = sum(seconds);
  use.memory.push(sum(Object.values(used).map(({ memory }) => memory)) / Object.keys(used).length);
  use.busy.push((100 * total) / seconds.length);
  use.share.push((100 * plane) / (total + plane));
}

function rowsOf(what: string, measured: Measured, use: Use, single: Measured | undefined): readonly Row[] {
  const named = (name: string, samples: readonly number[]) => ({ name: `${measured.name}, ${name}`, samples });
  return [
    { what, unit: "events/s", measured, ...(single && { baseline: single }) },
    { what, unit: "MB", measured: named("memory per component", use.memory) },
    { what, unit: "% of a core", measured: named("processor per component", use.busy) },
    { what, unit: "% of all", measured: named("control plane's processor", use.share), goal: { atMost: 5 } },
  ];
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

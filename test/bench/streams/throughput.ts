import type { Row } from "../results-table.ts";
import { type Contender, interleave, type Measured } from "../samples.ts";
import { type PartPlan, Programs, type RunOptions, runParts } from "./run-parts.ts";

const LINEAR: readonly PartPlan[] = [
  { id: "source", role: "source", from: [] },
  { id: "middle", role: "filter", from: ["source"] },
  { id: "sink", role: "sink", from: ["middle"] },
];
const MAPPED: readonly PartPlan[] = LINEAR.map((part) =>
  part.id === "middle" ? { ...part, role: "map" as const } : part,
);

/**
 * Events per second through source → processor → sink, three processes, counted at the sink and acknowledged, against
 * the same three programs over proto-loader (one event a message, and 256) and over plain TCP. The contender runs twice, so
 * that the noise shows.
 */
export async function measureThroughput(rounds: number): Promise<readonly Row[]> {
  const programs = await Programs.build();
  try {
    return [
      ...(await compare(programs, rounds, "filter, 180 B", LINEAR, 180, 800_000)),
      ...(await compare(programs, rounds, "filter, 1 KB", LINEAR, 1024, 300_000)),
      ...(await compare(programs, rounds, "map with JSON, 180 B", MAPPED, 180, 300_000)),
    ];
  } finally {
    await programs.remove();
  }
}

async function compare(
  programs: Programs,
  rounds: number,
  what: string,
  plan: readonly PartPlan[],
  size: number,
  count: number,
): Promise<Row[]> {
  const memory: number[] = [];
  const contender = (name: string, options: Pick<RunOptions, "program"> & Partial<RunOptions>): Contender => ({
    name,
    run: async () => {
      const result = await runParts(programs, { plan, size, count, ...options });
      if (name === "flowctl") memory.push(Math.max(...Object.values(result.used).map((use) => use.memory)));
      return result.sinks.sink?.perSecond ?? 0;
    },
  });
  const tcp = plan === LINEAR ? [contender("plain TCP", { program: "tcp" })] : [];
  const measured = await interleave(
    [
      contender("flowctl", { program: "flowctl" }),
      contender("flowctl again", { program: "flowctl" }),
      contender("proto-loader, 1 a message", { program: "loader", batch: 1, count: Math.ceil(count / 8) }),
      contender("proto-loader, 256 a message", { program: "loader", batch: 256, count: Math.ceil(count / 2) }),
      ...tcp,
    ],
    rounds,
  );
  const [own, ...others] = measured as [Measured, ...Measured[]];
  return [
    ...others.map((baseline): Row => ({ what, unit: "events/s", measured: own, baseline })),
    { what: `${what}: largest process`, unit: "MiB", measured: { name: "flowctl", samples: memory.slice(1) } },
  ];
}

/** Milliseconds from the source to the sink through a filter, at a steady rate. */
export async function measureLatency(rounds: number): Promise<readonly Row[]> {
  const programs = await Programs.build();
  try {
    const rows: Row[] = [];
    for (const rate of [1_000, 10_000]) {
      const p50: number[] = [];
      const p99: number[] = [];
      for (let round = 0; round <= rounds; round++) {
        const { sinks } = await runParts(programs, {
          program: "flowctl",
          plan: LINEAR,
          size: 0,
          count: rate * 4,
          rate,
        });
        if (round === 0) continue;
        p50.push(sinks.sink?.p50 ?? Number.NaN);
        p99.push(sinks.sink?.p99 ?? Number.NaN);
      }
      const what = `latency at ${rate.toLocaleString("en-US")} events/s`;
      rows.push({ what, unit: "ms", measured: { name: "median", samples: p50 } });
      rows.push({ what, unit: "ms", measured: { name: "99th percentile", samples: p99 } });
    }
    return rows;
  } finally {
    await programs.remove();
  }
}

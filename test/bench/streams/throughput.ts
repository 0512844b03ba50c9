import type { Goal, Row } from "../results-table.ts";
import { interleave, type Measured } from "../samples.ts";
import { type StreamBench, scaled, streaming } from "./contender.ts";
import { linear, type Plan } from "./plans.ts";
import { Programs } from "./programs.ts";
import { largestProcess } from "./run-parts.ts";

interface Case {
  readonly what: string;
  readonly plan: Plan;
  readonly size: number;
  /** Events of the contender: what takes some seconds, as it is two or three before everything is compiled. */
  readonly count: number;
  /** How many times each baseline flowctl has to be; a baseline that is not named is not run. */
  readonly goals: Readonly<Record<"one" | "many" | "tcp", Goal | undefined>>;
}

const CASES: readonly Case[] = [
  {
    what: "filter, 180 B",
    plan: linear("filter"),
    size: 180,
    count: 6_000_000,
    goals: { one: { atLeast: 15 }, many: { atLeast: 3.5 }, tcp: { atLeast: 0.85 } },
  },
  {
    what: "filter, 1 KB",
    plan: linear("filter"),
    size: 1024,
    count: 2_400_000,
    goals: { one: { atLeast: 5 }, many: undefined, tcp: { atLeast: 0.85 } },
  },
  {
    what: "map with JSON, 180 B",
    plan: linear("map"),
    size: 180,
    count: 2_400_000,
    goals: { one: { atLeast: 3 }, many: undefined, tcp: undefined },
  },
];

/**
 * Events per second through source → processor → sink, three processes, counted at the sink and acknowledged, against
 * the same three programs over proto-loader (one event a message, and 256) and over plain TCP. The contender runs twice, so
 * that the noise shows.
 */
export async function measureThroughput({ rounds, scale }: StreamBench): Promise<readonly Row[]> {
  return await Programs.with(async (programs) => {
    const rows: Row[] = [];
    for (const each of CASES) rows.push(...(await compare(programs, rounds, scale, each)));
    return rows;
  });
}

async function compare(programs: Programs, rounds: number, scale: number, each: Case): Promise<readonly Row[]> {
  const { what, plan, size, goals } = each;
  const count = scaled(each.count, scale);
  const memory: number[] = [];
  // Slower baselines get less, so that all run for about as long. Those that map do it on their objects; plain TCP has none.
  const isMap = plan.some(({ role }) => role === "map");
  const [own, again, one, many, tcp] = await interleave(
    [
      streaming(programs, "flowctl", { program: "flowctl", plan, size, count }, (result) =>
        memory.push(largestProcess(result)),
      ),
      streaming(programs, "flowctl again", { program: "flowctl", plan, size, count }),
      streaming(programs, "proto-loader, 1 a message", {
        ...{ program: "loader", plan, size, batch: 1 },
        count: Math.ceil(count / 16),
      }),
      streaming(programs, "proto-loader, 256 a message", {
        ...{ program: "loader", plan, size, batch: 256 },
        count: Math.ceil(count / 4),
      }),
      ...(isMap ? [] : [streaming(programs, "plain TCP", { program: "tcp", plan, size, count })]),
    ],
    rounds,
  );
  const beside = (baseline: Measured | undefined, goal?: Goal): readonly Row[] =>
    baseline === undefined ? [] : [{ what, unit: "events/s", measured: own!, baseline, ...(goal && { goal }) }];
  return [
    ...beside(again),
    ...beside(one, goals.one),
    ...beside(many, goals.many),
    ...beside(tcp, goals.tcp),
    {
      what: `${what}: largest process`,
      unit: "MB",
      measured: { name: "flowctl", samples: memory },
      goal: { atMost: 135 },
    },
  ];
}

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type ProgramOptions, runProgram, runWell } from "../../e2e/run-program.ts";
import { chainPipeline } from "../chain-pipeline.ts";
import type { Goal, Row } from "../results-table.ts";
import { timed } from "../samples.ts";
import type { Version } from "./version.ts";

/** What is compared, and how many times the other version it may be: docs/performance.md says how the limits were chosen. */
const MEASURES = {
  "events a second": { unit: "events/s", goal: { atLeast: 0.75 } },
  "processor for an event": { unit: "µs", goal: { atMost: 1.25 } },
  "run of one event": { unit: "ms", goal: { atMost: 1.25 } },
  "processor for validate": { unit: "ms", goal: { atMost: 1.2 } },
} as const satisfies Record<string, { readonly unit: string; readonly goal: Goal }>;

export type Measure = keyof typeof MEASURES;
type Figures = Readonly<Record<Measure, number>>;

const ROLES = ["source", "processor", "sink"] as const;

export interface CompareOptions {
  readonly rounds: number;
  /** Events of each run. */
  readonly count: number;
  /** How often what is short runs in each round; the least disturbed counts. Left out: three times. */
  readonly repeats?: number;
  /** Stops it: what is measured is taken down, and the promise rejects. */
  readonly signal?: AbortSignal;
}

/**
 * Runs the same short benchmark on both versions, in turn: each round runs both, the order turns, and the first one warms up.
 * Rows have the second version as their baseline.
 */
export async function compare(
  versions: readonly [Version, Version],
  options: CompareOptions,
): Promise<readonly Required<Row>[]> {
  const { rounds, signal } = options;
  const figures: [Figures[], Figures[]] = [[], []];
  for (let round = 0; round <= rounds; round++) {
    for (const which of round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
      const measured = await measure(versions[which], options);
      signal?.throwIfAborted();
      if (round > 0) figures[which].push(measured);
    }
  }
  return (Object.keys(MEASURES) as Measure[]).map((name) => {
    const [measured, baseline] = versions.map((version, which) => ({
      name: version.name,
      samples: figures[which]!.map((one) => one[name]),
    }));
    return { what: name, ...MEASURES[name], measured: measured!, baseline: baseline! };
  });
}

async function measure({ root }: Version, { count, repeats = 3, signal }: CompareOptions): Promise<Figures> {
  const folder = mkdtempSync(join(tmpdir(), "flowctl-bench-"));
  const env = { ...process.env, FLOWCTL_HOME: join(folder, ".state"), NO_COLOR: "1" };
  const options = { cwd: folder, env, ...(signal && { signal }) };
  mkdirSync(join(folder, ".state"));
  const flowctl = join(root, "dist/flowctl.js");
  const pipeline = (file: string, text: string): string => {
    writeFileSync(join(folder, file), text);
    return file;
  };
  const runToItsEnd = async (file: string): Promise<void> => {
    const down = [flowctl, "down", "-v", "--timeout", "0", "-f", file];
    try {
      await runWell(process.execPath, [flowctl, "run", "--quiet", file], options);
    } catch (error) {
      const { signal: _aborted, ...unaborted } = options;
      await runProgram(process.execPath, down, unaborted);
      throw error;
    }
  };
  try {
    const chain = pipeline("chain.yaml", chainPipeline("bench-chain", 20));
    await runToItsEnd(pipeline("stream.yaml", streamPipeline(root, count)));
    const said = ROLES.map((role) => {
      const file = join(folder, `${role}.json`);
      if (!existsSync(file)) throw new Error(`the ${role} has not seen all ${count} events`);
      return JSON.parse(readFileSync(file, "utf8")) as { readonly perSecond: number; readonly cost: number };
    });
    return {
      "events a second": said[2]!.perSecond,
      "processor for an event": said.reduce((total, { cost }) => total + cost, 0),
      "run of one event": await least(repeats, () => timed(() => runToItsEnd(pipeline("one.yaml", ONE_EVENT)))),
      "processor for validate": await least(repeats, () => processorOf([flowctl, "validate", "-f", chain], options)),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What the least disturbed of several says. */
async function least(repeats: number, measureOnce: () => Promise<number>): Promise<number> {
  let figure = Number.POSITIVE_INFINITY;
  for (let index = 0; index < repeats; index++) figure = Math.min(figure, await measureOnce());
  return figure;
}

/** Milliseconds of processor time that Node.js takes with these arguments; whatever else the machine does hardly shows. */
async function processorOf(args: readonly string[], options: ProgramOptions): Promise<number> {
  const script = 'TIMEFORMAT="%U %S"; time "$@" >/dev/null 2>&1';
  const { stderr } = await runWell("bash", ["-c", script, "bash", process.execPath, ...args], options);
  const [user, system] = stderr.trim().split(" ").map(Number);
  return (user! + system!) * 1000;
}

function streamPipeline(root: string, count: number): string {
  const component = (role: (typeof ROLES)[number], inputs: string): string => {
    const environment = {
      BENCH_SDK: pathToFileURL(join(root, "dist/sdk.js")).href,
      BENCH_ROLE: role,
      BENCH_COUNT: String(count),
      BENCH_OUT: ".",
    };
    const command = [process.execPath, join(import.meta.dirname, "part.mjs")];
    return `{ command: ${JSON.stringify(command)}, environment: ${JSON.stringify(environment)}${inputs} }`;
  };
  return `name: bench-stream
driver: process
sources: { source: ${component("source", "")} }
processors: { processor: ${component("processor", ", inputs: [source]")} }
sinks: { sink: ${component("sink", ", inputs: [processor]")} }
`;
}

const ONE_EVENT = `name: bench-one
driver: process
sources: { source: { uses: generator, with: { rate: unlimited, count: 1 } } }
sinks: { sink: { uses: file, inputs: [source], with: { path: ./one.jsonl } } }
`;

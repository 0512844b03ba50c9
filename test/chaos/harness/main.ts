import { appendFile, readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { buildProgram } from "../../e2e/checks.ts";
import { OwnEngine } from "./own-engine.ts";
import { report, script } from "./report.ts";
import { type RoundResult, runRound } from "./round.ts";
import { shrink } from "./shrink.ts";
import type { Step } from "./steps.ts";
import type { DriverName } from "./world.ts";

const USAGE = `npm run chaos -- [--driver process|docker] [--minutes N] [--seed S] [--count STEPS] [--steps JSON|@FILE] [--shared-engine]
                [--no-build] [--no-shrink] [--stop-at-first] [--log FILE] [--pace PART]`;

const { values } = parseArgs({
  options: {
    driver: { type: "string", default: "process" },
    minutes: { type: "string" },
    seed: { type: "string" },
    count: { type: "string", default: "12" },
    steps: { type: "string" },
    log: { type: "string" },
    pace: { type: "string", default: "1" },
    "shared-engine": { type: "boolean", default: false },
    "no-build": { type: "boolean", default: false },
    "no-shrink": { type: "boolean", default: false },
    "stop-at-first": { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

/** Replays that a counterexample is worth. */
const SHRINK_TRIES = 14;

async function main(): Promise<number> {
  const driver = values.driver;
  if (values.help || (driver !== "process" && driver !== "docker")) {
    console.log(USAGE);
    return values.help ? 0 : 2;
  }
  if (!values["no-build"]) await buildProgram();
  // Another number for each, so that runs can go on side by side.
  await using engine =
    driver === "docker" && !values["shared-engine"] ? await OwnEngine.start(200 + (process.pid % 50)) : undefined;
  if (engine !== undefined) process.env.DOCKER_HOST = engine.host;
  const say = (line: string): void => {
    console.log(line);
  };
  const first = Number(values.seed ?? Math.floor(Math.random() * 1_000_000));
  const end = Date.now() + Number(values.minutes ?? 0) * 60_000;
  const steps = values.steps === undefined ? undefined : await readSteps(values.steps);
  const rounds: RoundResult[] = [];
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => stop.abort(new Error(`ended by ${name}`)));
  const once = (seed: number, given?: readonly Step[]): Promise<RoundResult> =>
    runRound({
      driver,
      seed,
      count: Number(values.count),
      // On a machine that others use as well, less than all that the sources are to make.
      pace: Number(values.pace),
      signal: stop.signal,
      engine,
      say,
      ...(given === undefined ? {} : { steps: given }),
    });
  for (let seed = first; rounds.length === 0 || Date.now() < end; seed++) {
    say(`seed ${seed} on ${driver}`);
    const round = await once(seed, steps).catch((error: unknown) => brokenOff(seed, driver, error));
    // What was ended by a signal says nothing: its commands may have got the signal as well.
    if (stop.signal.aborted) break;
    rounds.push(round);
    if (round.problems.length === 0) continue;
    const small = values["no-shrink"] ? round.steps : await shrunk(round, once);
    const found = `counterexample on ${driver}, seed ${seed}:\n${script(driver, seed, small)}\n${problemsOf(round)}`;
    say(found);
    if (values.log !== undefined) await appendFile(values.log, `${found}\n\n`);
    if (values["stop-at-first"]) break;
  }
  say(report(rounds));
  return rounds.some(({ problems }) => problems.length > 0) ? 1 : 0;
}

/** A run that came to nothing, so that those before and after it are reported all the same. */
function brokenOff(seed: number, driver: DriverName, error: unknown): RoundResult {
  const problem = {
    what: "broken off",
    detail: error instanceof Error ? (error.stack ?? error.message) : String(error),
  };
  const verdict = { wrong: [], sent: 0, demanded: 0, repeated: 0, retried: 0, deadLetters: 0 };
  return { seed, driver, steps: [], done: [], verdict, problems: [problem], notes: [], calledAgain: 0, ms: 0 };
}

async function readSteps(value: string): Promise<readonly Step[]> {
  return JSON.parse(value.startsWith("@") ? await readFile(value.slice(1), "utf8") : value) as Step[];
}

/** The fewest steps that still bring one of the same problems. */
async function shrunk(
  { seed, steps, problems }: RoundResult,
  once: (seed: number, steps: readonly Step[]) => Promise<RoundResult>,
): Promise<readonly Step[]> {
  const kinds = new Set(problems.map(({ what }) => what));
  if (steps.length === 0) return steps;
  return await shrink(
    steps,
    async (candidate) => (await once(seed, candidate)).problems.some(({ what }) => kinds.has(what)),
    SHRINK_TRIES,
  );
}

const problemsOf = ({ problems }: RoundResult): string =>
  problems.map(({ what, detail }) => `  ${what}: ${detail.replaceAll("\n", "\n    ")}`).join("\n");

// Whatever fails outside of a run, such as an engine that does not start, ends it all with the reason.
process.exitCode = await main().catch((error: unknown) => {
  console.error(error);
  return 1;
});

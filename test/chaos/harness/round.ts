import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { eventually } from "../../e2e/checks.ts";
import { chooseSteps } from "./choose-steps.ts";
import { settleUp } from "./commands.ts";
import type { Config } from "./config.ts";
import { type Done, execute } from "./execute.ts";
import type { OwnEngine } from "./own-engine.ts";
import { Progress } from "./progress.ts";
import { prove, type Verdict } from "./prover.ts";
import { Random } from "./random.ts";
import { readSinks, writtenBy } from "./sink-file.ts";
import { describe, type Step } from "./steps.ts";
import { type DriverName, type Problem, World } from "./world.ts";

export interface RoundOptions {
  readonly driver: DriverName;
  readonly seed: number;
  /** How many steps are chosen. */
  readonly count: number;
  /** These instead of those that the seed chooses. */
  readonly steps?: readonly Step[];
  readonly engine?: OwnEngine | undefined;
  /** What part of their rates the sources keep to; 1: all. */
  readonly pace?: number;
  readonly say: (line: string) => void;
  /** Ends the run at its next step; what it has made is taken away first. */
  readonly signal?: AbortSignal;
}

export interface RoundResult {
  readonly seed: number;
  readonly driver: DriverName;
  readonly steps: readonly Step[];
  readonly done: readonly Done[];
  readonly verdict: Verdict;
  /** Everything that is wrong; empty for a run that has passed. */
  readonly problems: readonly Problem[];
  readonly notes: readonly string[];
  /** How often an `up` that nobody broke off had to be called again. */
  readonly calledAgain: number;
  /** How long it took, its start and its end included. */
  readonly ms: number;
}

/** More events than can be on their way from a source at its full rate when its end is set. */
const MARGIN = 25_000;
const START_LIMIT_MS = 180_000;
const DRAIN_RATE = 5_000;
/** So long nothing may be written anywhere before the pipeline has completed. */
const STILL_LIMIT_MS = 120_000;

/**
 * One run: a pipeline of numbered events is started, the steps are done to it, its sources are given an end, and once it has
 * completed what is in the sinks is held against the model; `down -v` then has to leave nothing on the machine.
 */
export async function runRound({
  driver,
  seed,
  count,
  steps: given,
  engine,
  pace,
  say,
  signal,
}: RoundOptions): Promise<RoundResult> {
  await using world = await World.on(driver, engine, pace);
  const steps = given ?? chooseSteps(new Random(seed), count, world.abilities);
  const done: Done[] = [];
  const began = Date.now();
  const said: string[] = [];
  const tell = (line: string): void => {
    said.push(`${((Date.now() - began) / 1000).toFixed(1).padStart(6)} s  ${line}`);
    say(said.at(-1)!);
  };
  await settleUp(world, world.config);
  const started = await world.recovery(world.witnesses("numbers"), 0, START_LIMIT_MS);
  if (started === undefined)
    world.problem("stands still", `no event at any sink within ${START_LIMIT_MS / 1000} s of the first up`);
  for (const step of steps) {
    signal?.throwIfAborted();
    const wrong = await world.runningThoughStopped();
    if (wrong.length > 0) world.problem("runs though it was stopped", wrong.join(", "));
    const noted = world.notes.length;
    const result = await execute(world, step).catch((error: unknown): Done => {
      world.problem("a fault did not take place", `${describe(step)}: ${String(error)}`);
      return { step, outcome: "skipped" };
    });
    done.push(result);
    const recovered = result.recoveredMs === undefined ? "" : `, flows after ${result.recoveredMs} ms`;
    tell(`${describe(step)}: ${result.outcome}${recovered}`);
    for (const note of world.notes.slice(noted)) tell(`  ${note}`);
  }
  await drain(world, Math.ceil(MARGIN * (pace ?? 1)), tell);
  tell("reading what the sinks have");
  const verdict = prove({ epochs: world.history.epochs, sinks: await readSinks(world.scenario.folder) });
  for (const { what, sink, source, count: events, examples } of verdict.wrong) {
    world.problem(what, `${events} of ${source || "all"} at ${sink}: ${examples.join(", ")}…`);
  }
  tell(
    `${verdict.sent} events sent, ${verdict.demanded} arrivals demanded, ${verdict.repeated} repeated where that is allowed`,
  );
  if (world.problems.length > 0) await world.keep(said);
  await takeDown(world);
  if (world.problems.length === 0) world.scenario.passed();
  for (const { what, detail } of world.problems) tell(`WRONG: ${what}: ${detail}`);
  const { problems, notes, calledAgain } = world;
  return { seed, driver, steps, done, verdict, problems, notes, calledAgain, ms: Date.now() - began };
}

/** Heals everything, gives every source an end, and waits until the pipeline has completed. */
async function drain(world: World, margin: number, tell: (line: string) => void): Promise<void> {
  const ends = await endsOf(world, margin);
  const last: Config = {
    components: Object.fromEntries(
      Object.entries(world.config.components).map(([id, component]) => [
        id,
        component.kind === "source" ? { ...component, rate: DRAIN_RATE, count: ends.get(id) ?? margin } : component,
      ]),
    ),
  };
  await world.write(last);
  world.history.begin(last, Date.now());
  await settleUp(world, last);
  tell(`the sources end at ${[...ends].map(([id, end]) => `${id} ${end}`).join(", ")}`);
  // Started, not run: it may take longer than any other command.
  const wait = world.scenario.start("wait");
  const progress = new Progress(STILL_LIMIT_MS, () => writtenBy(world.scenario.folder));
  let isStuck = false;
  while (wait.child.exitCode === null && !isStuck) {
    await new Promise((wake) => setTimeout(wake, 500));
    isStuck = await progress.isOver();
  }
  if (isStuck) wait.child.kill("SIGKILL");
  const { code, stdout, stderr } = await wait.ended;
  if (code === 0) return;
  const status = await world.flowctl("status");
  const how = isStuck ? `no sink has written anything for ${STILL_LIMIT_MS / 1000} s` : `wait ended with ${code}`;
  world.problem("stuck", `${how}\n${stdout}${stderr}\n${status.stdout}`);
}

/** For each source the number that it is to end at: beyond what any sink has of it. */
async function endsOf(world: World, margin: number): Promise<ReadonlyMap<string, number>> {
  const ends = new Map<string, number>();
  for (const { arrivals } of (await readSinks(world.scenario.folder)).values()) {
    for (const { source, n } of arrivals) ends.set(source, Math.max(ends.get(source) ?? 0, n));
  }
  return new Map([...ends].map(([source, n]) => [source, n + margin]));
}

async function takeDown(world: World): Promise<void> {
  const { code, stderr } = await world.flowctl("down", world.scenario.name, "-v");
  if (code !== 0) world.problem("down fails", `down -v ended with ${code}: ${stderr}`);
  let left: readonly string[] = [];
  // Whoever was killed may still be being buried.
  await eventually(
    "nothing is left",
    async () => {
      left = await world.scenario.leftovers();
      return left.length === 0;
    },
    5_000,
  ).catch(() => world.problem("left on the machine", left.join("\n")));
  const listening = await readFile(join(world.scenario.folder, "flowctl.yaml"), "utf8").catch(() => "");
  if (listening === "") world.problem("the pipeline file is gone", world.scenario.folder);
}

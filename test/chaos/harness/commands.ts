import type { Ended } from "../../e2e/run-program.ts";
import type { Config } from "./config.ts";
import type { World } from "./world.ts";

/** Exit codes of a command that refused before it did anything: usage, an invalid file, a state that forbids it. */
const REFUSED = [2, 3, 6];
/** The code of a change that is refused as something that is stopped may hold events on its disk. */
const WOULD_LOSE = "registry/would-lose-events";
/** What it says of a removed sink that another one takes the place of. */
const CANNOT_MOVE = "which no other component can take over";
const TRIES = 3;
/** So long a command may take to return after Ctrl-C. */
const RETURN_LIMIT_MS = 180_000;

const pause = (ms: number): Promise<void> => new Promise((wake) => setTimeout(wake, ms));

/** `up -d` of an edited file. Where it is refused everything has to be as before, and the file is as before again. */
export async function commandUp(world: World, before: Config, next: Config): Promise<"done" | "refused"> {
  const had = await instances(world);
  world.history.begin(next, Date.now());
  const ended = await world.flowctl("up", "-d");
  if (ended.code === 0) {
    settled(world, next);
    return "done";
  }
  if (!REFUSED.includes(ended.code)) {
    world.notes.push(`up ended with ${ended.code} and is called again: ${lastLines(ended.stderr)}`);
    world.calledAgain++;
    await settleUp(world, next);
    return "done";
  }
  await refused(world, "up", ended, { had, before });
  await world.write(before);
  return "refused";
}

/** `scale` to other replicas. Where it is refused everything has to be as before; only what would lose events may be. */
export async function commandScale(
  world: World,
  { id, replicas }: { readonly id: string; readonly replicas: number },
  next: Config,
): Promise<"done" | "refused"> {
  const before = world.config;
  const had = await instances(world);
  world.history.begin(next, Date.now());
  const ended = await world.flowctl("scale", `${id}=${replicas}`);
  if (ended.code === 0) {
    world.history.settle(next, Date.now());
    for (const name of [...world.stopped]) if (name === id || name.startsWith(`${id}-`)) world.stopped.delete(name);
    return "done";
  }
  if (stoppedAndNamed(world, ended.stderr).length === 0)
    world.problem("scale fails", `scale ${id}=${replicas} ended with ${ended.code}: ${ended.stderr}`);
  await refused(world, "scale", ended, { had, before });
  return "refused";
}

/** What was stopped and is named by a change that was refused as it would lose events: of nothing else may it say so. */
function stoppedAndNamed(world: World, stderr: string): readonly string[] {
  if (!stderr.includes(WOULD_LOSE)) return [];
  return [...world.stopped].filter((target) => new RegExp(`\\b${target}(-\\d+)?\\b`).test(stderr));
}

async function instances(world: World): Promise<string> {
  const all = (await world.instances()) ?? [];
  return all
    .map(({ instance }) => instance)
    .sort()
    .join(" ");
}

/** Nothing may be other than before a command that was refused. */
async function refused(
  world: World,
  command: string,
  { code, stdout, stderr }: Ended,
  { had, before }: { readonly had: string; readonly before: Config },
): Promise<void> {
  world.notes.push(`${command} was refused with ${code}: ${lastLines(stderr)}`);
  const has = await instances(world);
  if (has !== had) world.problem("a refused change changed something", `${had} → ${has}\n${stdout}\n${stderr}`);
  world.history.settle(before, Date.now());
}

/** `up -d` until it succeeds; that it does not is a problem. */
export async function settleUp(world: World, config: Config): Promise<void> {
  let said = "";
  let given: readonly string[] = [];
  for (let attempt = 1; attempt <= TRIES; attempt++) {
    const { code, stderr } = await world.flowctl("up", "-d", ...given);
    if (code === 0) return settled(world, config);
    // Of a sink that the file has no more, so that nobody is owed anything: what was begun cannot be taken back here.
    if (stderr.includes(WOULD_LOSE) && stderr.includes(CANNOT_MOVE)) given = ["--discard"];
    said = `up -d ended with ${code}: ${lastLines(stderr)}`;
    world.notes.push(said);
    world.calledAgain++;
    // As its fix says: what is stopped has to finish what it has before it can be taken away.
    for (const target of stoppedAndNamed(world, stderr)) await world.flowctl("start", target);
    await pause(1_000);
  }
  world.problem("up fails again and again", said);
}

function settled(world: World, config: Config): void {
  world.stopped.clear();
  world.history.settle(config, Date.now());
}

/** `up -d` that is killed in the middle, or has ended before; whether it was killed. */
export async function killedUp(world: World, afterMs: number): Promise<boolean> {
  const up = world.scenario.start("up", "-d");
  await Promise.race([up.ended, pause(afterMs)]);
  up.child.kill("SIGKILL");
  const { code } = await up.ended;
  if (code !== 137) world.notes.push(`up had ended with ${code} before it was killed`);
  return code === 137;
}

export async function upTwice(world: World): Promise<void> {
  const ended = await Promise.all([world.flowctl("up", "-d"), world.flowctl("up", "-d")]);
  if (ended.every(({ code }) => code !== 0)) {
    world.notes.push(`of two ups at once none succeeded: ${ended.map(({ stderr }) => lastLines(stderr)).join(" / ")}`);
  }
}

/** An attached `up` that gets a Ctrl-C, after which nothing runs but the control plane; whether it had not ended before. */
export async function interruptedUp(world: World, afterMs: number): Promise<boolean> {
  const up = world.scenario.start("up");
  await Promise.race([up.ended, pause(afterMs)]);
  const over = up.child.exitCode !== null;
  up.child.kill("SIGINT");
  const patience = setTimeout(() => up.child.kill("SIGKILL"), RETURN_LIMIT_MS);
  const { code, stderr } = await up.ended;
  clearTimeout(patience);
  if (over) world.notes.push(`up had ended with ${code} before Ctrl-C: ${lastLines(stderr)}`);
  else if (code === 137)
    world.problem("a command does not return", `up within ${RETURN_LIMIT_MS / 1000} s of Ctrl-C: ${lastLines(stderr)}`);
  else if (code !== 130) world.problem("Ctrl-C is not followed", `up ended with ${code}: ${lastLines(stderr)}`);
  // Before it had taken the pipeline over there is nothing for it to stop.
  else if (stderr.includes("Ctrl-C again")) await world.allStopped();
  return !over;
}

/** `up` and `down` at once: whichever wins, the next `up` has everything run again. */
export async function upAgainstDown(world: World, afterMs: number): Promise<void> {
  const down = world.flowctl("down", world.scenario.name);
  await pause(afterMs);
  const [downed, upped] = await Promise.all([down, world.flowctl("up", "-d")]);
  world.notes.push(`up against down: down ${downed.code}, up ${upped.code}`);
  await settleUp(world, world.config);
}

function lastLines(text: string): string {
  return text.trim().split("\n").slice(-4).join(" | ");
}

import type { Config } from "./config.ts";
import type { World } from "./world.ts";

/** Exit codes of a command that refused before it did anything: usage, an invalid file, a state that forbids it. */
const REFUSED = [2, 3, 6];
const TRIES = 3;
/** So long a command may take to return after Ctrl-C. */
const RETURN_LIMIT_MS = 180_000;

const pause = (ms: number): Promise<void> => new Promise((wake) => setTimeout(wake, ms));

/** `up -d` of an edited file. Where it is refused everything has to be as before, and the file is as before again. */
export async function commandUp(world: World, before: Config, next: Config): Promise<"done" | "refused"> {
  const instances = async (): Promise<string> =>
    ((await world.instances()) ?? [])
      .map(({ instance }) => instance)
      .sort()
      .join(" ");
  const had = await instances();
  world.history.begin(next, Date.now());
  const { code, stdout, stderr } = await world.flowctl("up", "-d");
  if (code === 0) {
    settled(world, next);
    return "done";
  }
  if (!REFUSED.includes(code)) {
    world.notes.push(`up ended with ${code} and is called again: ${lastLines(stderr)}`);
    world.calledAgain++;
    await settleUp(world, next);
    return "done";
  }
  world.notes.push(`up was refused with ${code}: ${lastLines(stderr)}`);
  const has = await instances();
  if (has !== had) world.problem("a refused change changed something", `${had} → ${has}\n${stdout}\n${stderr}`);
  await world.write(before);
  world.history.settle(before, Date.now());
  return "refused";
}

/** `up -d` until it succeeds; that it does not is a problem. */
export async function settleUp(world: World, config: Config): Promise<void> {
  let said = "";
  for (let attempt = 1; attempt <= TRIES; attempt++) {
    const { code, stderr } = await world.flowctl("up", "-d");
    if (code === 0) return settled(world, config);
    said = `up -d ended with ${code}: ${lastLines(stderr)}`;
    world.notes.push(said);
    world.calledAgain++;
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

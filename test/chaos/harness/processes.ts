import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { eventually } from "../../e2e/checks.ts";

const run = promisify(execFile);

/** A program that runs, told from a later one that has its number. */
export interface Program {
  readonly pid: number;
  readonly bornAt: string;
}

/** What runs under a driver's reference; undefined while nothing does. */
export async function programOf(driver: "process" | "docker", ref: string): Promise<Program | undefined> {
  if (ref === "") return undefined;
  const pid = driver === "process" ? Number(ref) : await pidInContainer(ref);
  if (!(pid > 0)) return undefined;
  const stat = await statOf(pid);
  return stat === undefined || stat.state === "Z" ? undefined : { pid, bornAt: stat.bornAt };
}

/** The program itself, below the init process of its container. */
async function pidInContainer(container: string): Promise<number> {
  const answer = await run("docker", ["inspect", "-f", "{{.State.Pid}}", container]).catch(() => ({ stdout: "0" }));
  const init = Number(answer.stdout);
  if (!(init > 0)) return 0;
  const children = await readFile(`/proc/${init}/task/${init}/children`, "utf8").catch(() => "");
  return Number(children.trim().split(" ")[0]) || init;
}

async function statOf(pid: number): Promise<{ readonly state: string; readonly bornAt: string } | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  // The name before it is in brackets and may hold anything.
  const fields = text?.slice(text.lastIndexOf(")") + 2).split(" ");
  return fields === undefined ? undefined : { state: fields[0]!, bornAt: fields[19]! };
}

export async function isGone({ pid, bornAt }: Program): Promise<boolean> {
  const stat = await statOf(pid);
  return stat === undefined || stat.state === "Z" || stat.bornAt !== bornAt;
}

/** Kills it, and sees that it is gone. */
export async function kill(program: Program): Promise<void> {
  process.kill(program.pid, "SIGKILL");
  await eventually(`process ${program.pid} is gone`, () => isGone(program), 10_000);
}

/** Freezes it for so long, and sees that it is frozen. */
export async function freeze(program: Program, ms: number): Promise<void> {
  process.kill(program.pid, "SIGSTOP");
  try {
    await eventually(
      `process ${program.pid} is stopped`,
      async () => (await statOf(program.pid))?.state === "T",
      10_000,
    );
    await new Promise((wake) => setTimeout(wake, ms));
  } finally {
    if (!(await isGone(program))) process.kill(program.pid, "SIGCONT");
  }
}

import { spawn } from "node:child_process";

export interface Ended {
  /** Exit code, or 128 + signal number as shells count it when a signal ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProgramOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Milliseconds after which it is killed and the promise rejects with all that it said. */
  readonly timeoutMs?: number;
  /** Interrupts the program, which then ends in its own time. */
  readonly signal?: AbortSignal;
}

/** Runs a program to its end and returns all that it said. */
export function runProgram(command: string, args: readonly string[], options: ProgramOptions = {}): Promise<Ended> {
  const { cwd, env = process.env, timeoutMs = 120_000, signal } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill("SIGKILL");
    }, timeoutMs);
    const interrupt = (): boolean => child.kill("SIGINT");
    signal?.addEventListener("abort", interrupt, { once: true });
    child.once("error", reject);
    child.once("close", (code, endedBy) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", interrupt);
      if (late)
        reject(new Error(`${command} ${args.join(" ")} took longer than ${timeoutMs} ms\n${stdout}\n${stderr}`));
      else resolve({ code: code ?? 128 + (endedBy === "SIGKILL" ? 9 : 15), stdout, stderr });
    });
  });
}

/** As runProgram, for a program that has to succeed: rejects with all that it said when its code is not 0. */
export async function runWell(command: string, args: readonly string[], options: ProgramOptions = {}): Promise<Ended> {
  const ended = await runProgram(command, args, options);
  if (ended.code !== 0) {
    throw new Error(`${command} ${args.join(" ")} ended with code ${ended.code}\n${ended.stdout}\n${ended.stderr}`);
  }
  return ended;
}

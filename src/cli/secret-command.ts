import { type ChildProcessByStdio, spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import type { Readable } from "node:stream";
import { stripVTControlCharacters } from "node:util";
import { cancelled } from "../foundation/clock.ts";
import { type ErrorKind, FlowctlError, messageOf } from "../foundation/errors.ts";

/** How long a program may take to print a secret, in milliseconds: somebody may have to unlock something first. */
const TIME_LIMIT_MS = 60_000;

/** The largest secret, in bytes: as many as Docker takes. */
const SIZE_LIMIT = 500 * 1024;

/** How much of what a program says of its failure is shown, in characters. */
const SHOWN = 2_000;

export interface SecretCommandOptions {
  /** Absolute folder that it runs in. */
  readonly directory: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
  /** Default: 60,000. */
  readonly timeLimitMs?: number;
}

/**
 * What a program prints, without the line break at its end, if there is one: the value of the secret `key`. It runs without a shell and
 * with nothing on its standard input; it can ask on the terminal. Rejects with `cli/secret-command-not-found`,
 * `cli/secret-command-failed`, `cli/secret-command-timeout`, `cli/secret-command-empty` or `cli/secret-command-too-large`, which show
 * what it wrote to standard error and nothing of its output.
 */
export async function runSecretCommand(
  key: string,
  argv: readonly [string, ...string[]],
  options: SecretCommandOptions,
): Promise<Uint8Array> {
  const { signal, timeLimitMs = TIME_LIMIT_MS } = options;
  if (signal.aborted) throw cancelled(signal);
  const [program] = argv;
  const failure = failureOf(key, program);
  const ended = await run(argv, { ...options, timeLimitMs }).catch((error: unknown) => {
    throw notFound(key, program, messageOf(error), error);
  });
  const { how, output, said } = ended;
  if (signal.aborted) throw cancelled(signal);
  const value = withoutLineBreak(output);
  if (how === "too large" || value.byteLength > SIZE_LIMIT) {
    const fix = "Check the command: it should print the value of the secret and nothing else";
    throw failure("too-large", "invalid", `printed more than ${SIZE_LIMIT / 1024} KiB`, fix);
  }
  const saying = shown(said, output);
  if (how === "late") {
    const fix = `Run \`${program}\` by hand in ${options.directory}: it may wait for something, such as a login`;
    throw failure("timeout", "timeout", `did not end within ${timeLimitMs / 1000} s${saying}`, fix);
  }
  if (how !== 0) {
    const ending = typeof how === "number" ? `ended with exit code ${how}` : `was killed (${how})`;
    const fix = `Run \`${program}\` by hand in ${options.directory}, and fix what it says`;
    throw failure("failed", "failed", `${ending}${saying}`, fix);
  }
  if (value.byteLength > 0) return value;
  const fix = "Check the command: it should print the value of the secret on its standard output";
  throw failure("empty", "invalid", `printed nothing${saying}`, fix);
}

/** Throws `cli/secret-command-not-found` where the program of a secret is not there, or cannot be executed. Runs nothing. */
export function requireSecretProgram(
  key: string,
  [program]: readonly [string, ...string[]],
  { env }: Pick<SecretCommandOptions, "env">,
): void {
  const folders = program.includes("/") ? [""] : (env.PATH ?? "").split(delimiter).filter((folder) => folder !== "");
  const isThere = folders.some((folder) => {
    try {
      accessSync(folder === "" ? program : join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  if (!isThere) throw notFound(key, program, "no such program");
}

interface Run {
  /** Exit code, or the signal that ended it. */
  readonly how: number | NodeJS.Signals | "late" | "too large";
  readonly output: Buffer;
  readonly said: string;
}

/** Rejects where it cannot be started. */
function run(
  [program, ...args]: readonly [string, ...string[]],
  { directory, env, signal, timeLimitMs }: Required<SecretCommandOptions>,
): Promise<Run> {
  return new Promise((resolve, reject) => {
    // In the session of this process: what it asks for on the terminal can be answered there.
    const child: ChildProcessByStdio<null, Readable, Readable> = spawn(program, args, {
      cwd: directory,
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const output: Buffer[] = [];
    let size = 0;
    let said = "";
    const settle = (how: Run["how"]): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      resolve({ how, output: Buffer.concat(output), said });
    };
    const kill = (how: Run["how"]): void => {
      child.kill("SIGKILL");
      // What it has started may hold them open.
      child.stdout.destroy();
      child.stderr.destroy();
      settle(how);
    };
    const onAbort = (): void => kill("SIGKILL");
    const timer = setTimeout(() => kill("late"), timeLimitMs);
    signal.addEventListener("abort", onAbort, { once: true });
    child.stdout.on("data", (chunk: Buffer) => {
      size += chunk.byteLength;
      // The line break at its end is not part of the value.
      if (size > SIZE_LIMIT + 2) kill("too large");
      else output.push(chunk);
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said = (said + text).slice(-SHOWN);
    });
    child.once("error", (error) => {
      reject(error);
      settle("SIGKILL");
    });
    child.once("close", (code, killedBy) => settle(code ?? killedBy ?? "SIGKILL"));
  });
}

function withoutLineBreak(output: Buffer): Uint8Array {
  if (output.at(-1) !== 0x0a) return output;
  return output.subarray(0, output.at(-2) === 0x0d ? -2 : -1);
}

/** The shortest line of the output that is looked for in what it says: shorter ones are in any text by chance. */
const LINE_MIN = 4;

/** What it says of its failure, in one line. A script that traces its commands says the value there: it is cut out. */
function shown(said: string, output: Buffer): string {
  let text = stripVTControlCharacters(said);
  for (const line of output.toString("utf8").split(/\r?\n/)) {
    if (line.trim().length >= LINE_MIN) text = text.replaceAll(line.trim(), "***");
  }
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  const joined = lines.filter((line) => line !== "").join("; ");
  return joined === "" ? "" : `: ${joined}`;
}

type Failure = "failed" | "timeout" | "empty" | "too-large";

const failureOf =
  (key: string, program: string) =>
  (what: Failure, kind: ErrorKind, why: string, fix: string): FlowctlError =>
    new FlowctlError({
      code: `cli/secret-command-${what}`,
      kind,
      message: `The secret ${JSON.stringify(key)} has no value: \`${program}\` ${why}`,
      fix,
      path: `secrets.${key}.command`,
    });

function notFound(key: string, program: string, why: string, cause?: unknown): FlowctlError {
  return new FlowctlError({
    code: "cli/secret-command-not-found",
    kind: "invalid",
    message: `The secret ${JSON.stringify(key)} has no value: \`${program}\` cannot be run (${why})`,
    fix: program.includes("/")
      ? "Fix the path, which is relative to the pipeline file, and make the file executable"
      : "Install it, or use a path with a slash, such as ./bin/program",
    path: `secrets.${key}.command`,
    ...(cause === undefined ? {} : { cause }),
  });
}

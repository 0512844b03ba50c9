import { Chalk, type ChalkInstance } from "chalk";
import type { OutputStream } from "../dependencies.ts";
import { fitLines } from "./fit-lines.ts";

/** Where a command writes. Results go to standard output, everything said about them to standard error. */
export interface Output {
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  /** Colours for standard output and for standard error; they add nothing where a stream takes no colour. */
  readonly paint: ChalkInstance;
  readonly paintError: ChalkInstance;
  readonly json: boolean;
  readonly quiet: boolean;
  /** A text whose commands in backticks are about the pipeline that this command is about. */
  retyped(text: string): string;
  /** A result, with a line end added. */
  print(text: string): void;
  /** A result for machines: one JSON document. */
  printJson(value: unknown): void;
  /** Something to know; left out with `--quiet` and `--json`. */
  say(text: string): void;
  /** Something to worry about, and what to do about it; shown even with `--quiet`. */
  warn(text: string, fix?: string): void;
}

export interface OutputOptions {
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly json: boolean;
  readonly quiet: boolean;
  /** Default: as it is. */
  readonly retyped?: (text: string) => string;
}

export function createOutput(options: OutputOptions): Output {
  const { stdout, stderr, env, json, quiet, retyped = (text) => text } = options;
  const paint = new Chalk({ level: colorLevel(stdout, env) });
  const paintError = new Chalk({ level: colorLevel(stderr, env) });
  return {
    stdout,
    stderr,
    paint,
    paintError,
    json,
    quiet,
    retyped,
    print: (text) => void stdout.write(`${text}\n`),
    printJson: (value) => void stdout.write(`${JSON.stringify(value, undefined, 2)}\n`),
    say: (text) => {
      if (!quiet && !json) stderr.write(`${fitLines(retyped(text), stderr)}\n`);
    },
    warn: (text, fix) => {
      stderr.write(`${fitLines(`${paintError.yellow("warning:")} ${retyped(text)}`, stderr)}\n`);
      if (fix !== undefined) stderr.write(`${fitLines(`  ${paintError.dim("fix")}  ${retyped(fix)}`, stderr)}\n`);
    },
  };
}

/** 0 for no colour. `NO_COLOR` beats `FORCE_COLOR`, which beats what the stream is. */
export function colorLevel(stream: OutputStream, env: Readonly<Record<string, string | undefined>>): 0 | 1 | 2 | 3 {
  if (env.NO_COLOR !== undefined && env.NO_COLOR !== "") return 0;
  if (env.FORCE_COLOR !== undefined && env.FORCE_COLOR !== "") return env.FORCE_COLOR === "0" ? 0 : 1;
  if (stream.isTTY !== true || env.TERM === "dumb") return 0;
  if (/^(truecolor|24bit)$/.test(env.COLORTERM ?? "")) return 3;
  return /256/.test(env.TERM ?? "") ? 2 : 1;
}

import type { ChalkInstance } from "chalk";
import type { LogLine } from "../../drivers/driver.ts";
import type { Output } from "./output.ts";

export interface LogPrinterOptions {
  readonly timestamps: boolean;
  readonly prefix: boolean;
  /** Least severe level of structured lines that is shown. */
  readonly level?: "debug" | "info" | "warn" | "error";
  /**
   * Show only what instances print on standard output, which is data, on standard output; and on standard error what they
   * print there that is not a structured line, or one of an error.
   */
  readonly onlyResults?: boolean;
  /** Instance names known beforehand, so that prefixes line up from the first line on. */
  readonly names?: readonly string[];
}

const COLORS = ["cyan", "yellow", "green", "magenta", "blue", "cyanBright", "yellowBright", "greenBright"] as const;
const SEVERITY = { debug: 0, info: 1, warn: 2, error: 3 } as const;
const severityOf = (level: string): number =>
  Object.hasOwn(SEVERITY, level) ? SEVERITY[level as keyof typeof SEVERITY] : SEVERITY.info;

/** Writes log lines for people: who said it, in that instance's colour, and JSON log lines as level, text and fields. */
export class LogPrinter {
  readonly #output: Output;
  readonly #options: LogPrinterOptions;
  readonly #colors = new Map<string, (typeof COLORS)[number]>();
  #width: number;

  constructor(output: Output, options: LogPrinterOptions) {
    this.#output = output;
    this.#options = options;
    this.#width = Math.max(0, ...(options.names ?? []).map((name) => name.length));
  }

  print(line: LogLine): void {
    const { stdout, stderr, json } = this.#output;
    if (json) {
      stdout.write(`${JSON.stringify(line)}\n`);
      return;
    }
    const record = line.stream === "stderr" ? parseRecord(line.text) : undefined;
    const threshold = SEVERITY[this.#options.level ?? "debug"];
    const { onlyResults = false } = this.#options;
    if (record !== undefined && severityOf(record.level) < (onlyResults ? SEVERITY.error : threshold)) return;
    const aside = onlyResults && line.stream === "stderr";
    const paint = aside ? this.#output.paintError : this.#output.paint;
    const parts: string[] = [];
    if (this.#options.prefix) {
      this.#width = Math.max(this.#width, line.instance.length);
      parts.push(paint[this.#colorOf(line.instance)](`${line.instance.padEnd(this.#width)} │`));
    }
    if (this.#options.timestamps) parts.push(paint.dim(new Date(line.time).toISOString()));
    parts.push(record === undefined ? line.text : renderRecord(record, paint));
    (aside ? stderr : stdout).write(`${parts.join(" ")}\n`);
  }

  #colorOf(instance: string): (typeof COLORS)[number] {
    const known = this.#colors.get(instance);
    if (known !== undefined) return known;
    const next = COLORS[this.#colors.size % COLORS.length] as (typeof COLORS)[number];
    this.#colors.set(instance, next);
    return next;
  }
}

/** A structured log line: `{"time", "level", "msg", …fields}`. */
export interface LogRecord {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A structured log line, or undefined for any other text. Never throws. */
export function parseRecord(text: string): LogRecord | undefined {
  if (!text.startsWith("{")) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { time: _time, level, msg, name: _name, ...fields } = value as Record<string, unknown>;
  if (typeof level !== "string" || typeof msg !== "string") return undefined;
  return { level, message: msg, fields };
}

/** `level message key=value …`, with an error's stack on the lines below only when it is all there is to say. */
export function renderRecord(record: LogRecord, paint: ChalkInstance): string {
  const level = record.level.padEnd(5);
  const colored =
    record.level === "error"
      ? paint.red(level)
      : record.level === "warn"
        ? paint.yellow(level)
        : record.level === "debug"
          ? paint.dim(level)
          : paint.green(level);
  const fields = Object.entries(record.fields)
    .map(([key, value]) => `${paint.dim(`${key}=`)}${fieldValue(value)}`)
    .join(" ");
  return `${colored} ${record.message}${fields === "" ? "" : ` ${fields}`}`;
}

function fieldValue(value: unknown): string {
  if (typeof value === "string") return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
  if (typeof value === "object" && value !== null && "message" in value) {
    const { message, code } = value as { readonly message: unknown; readonly code?: unknown };
    return JSON.stringify(code === undefined ? message : `${message} (${code})`);
  }
  return JSON.stringify(value) ?? "undefined";
}

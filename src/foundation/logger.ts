import { pino } from "pino";

export type LogLevel = "debug" | "info" | "warn" | "error";

/** Structured logging: one JSON object a line. Never throws. Fields must not hold secrets. */
export interface Logger {
  /** Whether debug lines are written; ask before computing costly fields. */
  readonly debugging: boolean;
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

export interface LoggerOptions {
  readonly level: LogLevel;
  /** Put into every line as `name`. */
  readonly name?: string;
  /** Where lines go; standard error unless given. Written synchronously, so that the last line before an exit is there. */
  readonly destination?: { write(line: string): void };
}

/**
 * A logger that writes `{"time":"…","level":"info","name":"…","msg":"…",…fields}`. A field that is an Error becomes its
 * message, code and stack under `err`.
 */
export function createLogger(options: LoggerOptions): Logger {
  const destination = options.destination ?? pino.destination({ fd: 2, sync: true });
  const log = pino(
    {
      level: options.level,
      base: options.name === undefined ? null : { name: options.name },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  );
  const write =
    (level: LogLevel) =>
    (message: string, fields?: Readonly<Record<string, unknown>>): void =>
      fields === undefined ? log[level](message) : log[level]({ ...fields }, message);
  return {
    debugging: log.isLevelEnabled("debug"),
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
  };
}

/** A logger that writes nothing. */
export const silentLogger: Logger = {
  debugging: false,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

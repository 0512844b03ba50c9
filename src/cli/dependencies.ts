import type { ControlPlaneClient } from "../client/client.ts";
import type { ControlPlaneEndpoint, Driver } from "../drivers/driver.ts";
import type { Clock } from "../foundation/clock.ts";
import type { BuiltinCatalog } from "../pipeline/catalog.ts";
import type { ComponentType, DriverName } from "../pipeline/pipeline.ts";

/** Everything that the command line needs of the world. Made in `main/`; tests make their own. */
export interface CliDependencies {
  readonly version: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Absolute. */
  readonly cwd: string;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly clock: Clock;
  readonly interrupts: Interrupts;
  /** Drivers in the order in which they are tried when the file names none. */
  readonly driverNames: readonly DriverName[];
  /** Loads and makes a driver; the same one each time it is asked. */
  driver(name: DriverName): Promise<Driver>;
  connect(endpoint: ControlPlaneEndpoint): Promise<ControlPlaneClient>;
  catalog(): Promise<BuiltinCatalog>;
  /** At least 32 secret bytes, always the same for one user of one machine. Rejects where none can be kept. */
  homeKey(): Promise<Uint8Array>;
  /** Everything on standard input, for `-f -`. */
  readStdin(): Promise<string>;
  /** Runs a built-in component as this process, by its environment; it ends the process, or rejects. */
  runBuiltin(type: ComponentType, name: string): Promise<void>;
  /** Whether this machine was booted with systemd, so that its units mean something. */
  hasSystemd(): boolean;
  /** Absolute folder that holds `templates/`, `examples/` and `proto/`. */
  readonly packageRoot: string;
}

/** Standard output or error. `isTTY`, `columns` and the colour level decide about how it is written to. */
export interface OutputStream extends NodeJS.WritableStream {
  readonly isTTY?: boolean;
  /** Width in characters, where it is a terminal. */
  readonly columns?: number;
  /** Height in lines, where it is a terminal. */
  readonly rows?: number;
}

/**
 * Ctrl-C and its kin. The first asks to stop, the second to stop at once; a third ends the process. Output that nobody reads
 * any more, or that cannot be written, is a first interrupt, too.
 */
export interface Interrupts {
  readonly first: AbortSignal;
  readonly second: AbortSignal;
  /**
   * Says that the second interrupt is answered by the running command until the returned function is called;
   * otherwise the second interrupt ends the process.
   */
  answerSecond(): () => void;
  /**
   * Says that the running command is there for what it changes, and not for what it prints: whatever becomes of its output,
   * it goes on. Output that cannot be written still makes it fail at its end.
   */
  ignoreOutput(): void;
}

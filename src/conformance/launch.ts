import { spawn } from "node:child_process";
import { dirname } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { FlowctlError } from "../foundation/errors.ts";

/** How a program ended: by a code or by a signal. */
export interface ProgramExit {
  readonly code: number | null;
  readonly signal: string | null;
}

/** One run of the component under test. */
export interface LaunchedComponent {
  /** What was run, for messages: the command in backticks, or the image. */
  readonly ran: string;
  /** Why it could not be started at all; undefined where it was. Final once it has ended. */
  readonly startFailure?: NodeJS.ErrnoException | undefined;
  /** What to do when it ended with this code because of what runs it, and was not started itself; undefined for every other code. */
  readonly startFixes?: ReadonlyMap<number, string> | undefined;
  /** How it ended; undefined while it runs. */
  exit(): ProgramExit | undefined;
  /** Called once, when it has ended. */
  onExit(listener: () => void): void;
  /** What it wrote to stdout and stderr, the last 200 lines, oldest first. */
  output(): readonly string[];
  /** What it wrote to stderr alone, likewise. */
  errorOutput(): readonly string[];
  /** Asks it to stop, with SIGTERM. */
  terminate(): void;
  /** Ends it at once and resolves when nothing of it is left. */
  kill(): Promise<void>;
}

/**
 * Starts the component with the given variables on top of what it would get anyway. The addresses in them are on the
 * loopback interface of this machine, so whatever runs it shares the machine's network.
 */
export type Launch = (environment: Readonly<Record<string, string>>) => LaunchedComponent;

/** Launches a program of this machine. Rejects nothing: a command that cannot be started has ended with code 127. */
export function launchCommand(command: readonly string[], options: LaunchCommandOptions): Launch {
  const [program, ...args] = command;
  if (program === undefined) {
    throw new FlowctlError({
      code: "conformance/no-command",
      kind: "usage",
      message: "There is no command to test",
      fix: "Give the command after `--`: `flowctl component test -- node dist/main.js`",
    });
  }
  return (environment) => {
    const child = spawn(program, args, {
      env: { ...options.environment, ...environment },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
      ...(options.workingDirectory === undefined ? {} : { cwd: options.workingDirectory }),
    });
    const output: string[] = [];
    const errors: string[] = [];
    let exit: ProgramExit | undefined;
    let startFailure: NodeJS.ErrnoException | undefined;
    const listeners: (() => void)[] = [];
    const ended = (how: ProgramExit) => {
      if (exit !== undefined) return;
      exit = how;
      for (const listener of listeners) listener();
    };
    keepLines(child.stdout, output);
    keepLines(child.stderr, output, errors);
    child.on("error", (error) => {
      output.push(error.message);
      errors.push(error.message);
      if (child.pid === undefined) startFailure = error;
      ended({ code: 127, signal: null });
    });
    child.on("close", (code, signal) => ended({ code, signal }));
    // Something that it started and left behind may hold its output open: then the exit itself has to do.
    child.on("exit", (code, signal) => setTimeout(() => ended({ code, signal }), 300).unref());
    return {
      startFixes: options.startFixes,
      ran: options.describedAs ?? `\`${command.join(" ")}\``,
      get startFailure() {
        return startFailure;
      },
      exit: () => exit,
      onExit: (listener) => {
        if (exit === undefined) listeners.push(listener);
        else listener();
      },
      output: () => output,
      errorOutput: () => errors,
      terminate: () => void child.kill("SIGTERM"),
      kill: async () => {
        await options.beforeKill?.(environment);
        if (child.pid !== undefined) killGroup(child.pid);
        if (exit === undefined) await new Promise<void>((resolve) => listeners.push(resolve));
      },
    };
  };
}

export interface LaunchCommandOptions {
  /** All that the program finds in its environment beside the contract's own variables. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly workingDirectory?: string;
  /** What is run, for messages; the command when left out. */
  readonly describedAs?: string;
  /** See LaunchedComponent. */
  readonly startFixes?: ReadonlyMap<number, string>;
  /** Called before a run is killed, with its variables: ends what killing the command would leave behind. */
  readonly beforeKill?: (environment: Readonly<Record<string, string>>) => Promise<void>;
}

/**
 * Launches a container image with the docker command line, on the host's network (Linux engines only). The image's
 * own command runs when `command` is empty.
 */
export function launchImage(image: string, command: readonly string[], options: LaunchImageOptions): Launch {
  const name = (environment: Readonly<Record<string, string>>) =>
    `${options.namePrefix ?? "flowctl-component-test"}-${environment.FLOWCTL_LISTEN?.split(":").at(-1)}`;
  return (environment) => {
    const variables = { ...options.variables, ...environment };
    const argv = [
      ...["docker", "run", "--rm", "--network", "host", "--name", name(environment)],
      // What asks whether the component is healthy asks it itself; the engine would start a program for each look.
      "--no-healthcheck",
      ...bindMounts(environment),
      ...Object.keys(variables).flatMap((key) => ["--env", key]),
      ...[image, ...command],
    ];
    return launchCommand(argv, {
      environment: { ...options.environment, ...variables },
      describedAs: `The image ${image}`,
      startFixes: dockerFixes,
      beforeKill: async () => {
        const argv = ["rm", "--force", name(environment)];
        const removal = spawn("docker", argv, { stdio: "ignore", env: { ...options.environment } });
        // Where there is no docker there is nothing to remove.
        await new Promise((resolve) => removal.once("close", resolve).once("error", resolve));
      },
    })(environment);
  };
}

export interface LaunchImageOptions {
  /** What the docker command line finds in its environment. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** What the component finds in its environment beside the contract's own variables. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Begins the names of the containers. */
  readonly namePrefix?: string;
}

/** By the codes that `docker run` keeps for itself. */
const dockerFixes: ReadonlyMap<number, string> = new Map([
  [125, "Build or pull the image, and see that `docker run` can start it here"],
  [126, "Give a command that the image can run, after `--`, or none for the image's own"],
  [127, "Give a command that is in the image, after `--`, or none for the image's own"],
]);

function bindMounts(environment: Readonly<Record<string, string>>): string[] {
  const { FLOWCTL_STATE_DIR, FLOWCTL_SECRETS_DIR, FLOWCTL_TLS_CA } = environment;
  return [FLOWCTL_STATE_DIR, FLOWCTL_SECRETS_DIR, FLOWCTL_TLS_CA && dirname(FLOWCTL_TLS_CA)]
    .filter((folder) => folder !== undefined)
    .flatMap((folder) => ["--volume", `${folder}:${folder}`]);
}

function keepLines(stream: Readable, ...into: string[][]): void {
  createInterface({ input: stream }).on("line", (line) => {
    for (const lines of into) {
      lines.push(line);
      if (lines.length > 200) lines.shift();
    }
  });
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

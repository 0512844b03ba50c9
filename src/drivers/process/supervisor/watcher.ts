import { type ChildProcess, spawn } from "node:child_process";
import type { Logger } from "../../../foundation/logger.ts";
import { WATCHER_VARIABLE } from "../instance/process-identity.ts";

/**
 * Waits until its standard input ends, which it does at the end of the supervisor, however that comes; then becomes
 * the next supervisor, after a pause of `$1` seconds or of the last number that it read. `end` ends it.
 *
 * A shell rather than a program of flowctl's own: it takes no processor time, and a hundredth of the memory.
 */
const SCRIPT = `
pause=$1
shift
while read -r word; do
  [ "$word" = end ] && exit 0
  pause=$word
done
sleep "$pause"
unset ${WATCHER_VARIABLE}
export FLOWCTL_SUPERVISOR_PAUSE="$pause"
exec "$@" </dev/null
`;

/** In seconds: before the second attempt, and the longest. */
const FIRST_PAUSE = 0.25;
const LONGEST_PAUSE = 30;
/** What ends sooner than this after its start is started again only after this, in milliseconds. */
const SHORT_LIFE_MS = 500;

export interface WatcherOptions {
  /** argv of the supervisor that it becomes. */
  readonly program: readonly string[];
  /** That of the supervisor. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly log: Logger;
}

/** The process that waits for the end of this supervisor to take its place; itself replaced when it ends. */
export interface Watcher {
  /** The supervisor serves: should it end now, the next one begins at once. */
  served(): void;
  /** Ends it, for good. Resolves when it is gone. */
  end(): Promise<void>;
}

/** Whether this process was started by a watcher, rather than by a command. */
export function isSuccessor(environment: WatcherOptions["environment"]): boolean {
  return environment.FLOWCTL_SUPERVISOR_PAUSE !== undefined;
}

/**
 * Starts the watcher of this process. What it inherits are this process's working directory, standard output and error.
 * Each successor that ends before it serves is followed by the next one after twice the pause.
 */
export function startWatcher({ program, environment, log }: WatcherOptions): Watcher {
  let pause = nextPause(environment.FLOWCTL_SUPERVISOR_PAUSE);
  let isEnding = false;
  let child: ChildProcess | undefined;
  let again: NodeJS.Timeout | undefined;

  const start = (): void => {
    const startedAt = performance.now();
    const next = spawn("/bin/sh", ["-c", SCRIPT, "flowctl-watcher", String(pause), ...program], {
      env: { ...environment, [WATCHER_VARIABLE]: "1" },
      stdio: ["pipe", "inherit", "inherit"],
      detached: true,
    });
    child = next;
    next.stdin.on("error", () => undefined);
    let isOver = false;
    const over = (how: Readonly<Record<string, unknown>>): void => {
      if (isOver || isEnding) return;
      isOver = true;
      log.warn("the watcher of the supervisor exited: restarting it", how);
      const lived = performance.now() - startedAt;
      again = setTimeout(start, lived < SHORT_LIFE_MS ? SHORT_LIFE_MS : 0);
    };
    next.once("error", (error) => over({ err: error }));
    next.once("exit", (code, signal) => over({ code, signal }));
  };
  start();

  return {
    served() {
      pause = 0;
      child?.stdin?.write("0\n");
    },
    async end() {
      isEnding = true;
      clearTimeout(again);
      const last = child;
      if (last?.pid === undefined || last.exitCode !== null || last.signalCode !== null) return;
      const gone = new Promise<void>((resolve) => last.once("exit", () => resolve()));
      last.kill("SIGKILL");
      await gone;
    },
  };
}

/** Seconds until the successor of a supervisor that was itself started after `pause`. */
function nextPause(pause: string | undefined): number {
  if (pause === undefined) return 0;
  return Math.min(LONGEST_PAUSE, Math.max(FIRST_PAUSE, Number(pause) * 2));
}

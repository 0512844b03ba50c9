import type { Driver, ObservedResource, ProgressSink } from "../../drivers/driver.ts";
import type { Clock } from "../../foundation/clock.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import { NEVER_STARTS } from "../../foundation/never-starts.ts";

/** How long one that has ended may take to be brought back by whoever watches it, in milliseconds. */
const ENDED_FOR = 5_000;

/** How long none may run before none is expected any more, in milliseconds. */
const GONE_FOR = 30_000;

/** How long one that runs may be silent before it is restarted, in milliseconds: as long as an instance that hangs. */
const HUNG_FOR = 30_000;

/** How long one that runs may be silent in all, in milliseconds: on a busy machine it takes minutes to start. */
const SILENT_FOR = 300_000;

/** One that has ended so often meanwhile does not stay up. */
const KEEPS_ENDING = 3;

/**
 * What to expect of a control plane that does not answer. `absent`: none is there, or it has never run. `awaited`: it may answer
 * yet. `ends`: it does not stay up, says that it never will, or none has run for 30 s. `hangs`: it runs and has not answered for
 * 5 minutes.
 */
export type Outlook = "absent" | "awaited" | "ends" | "hangs";

export interface PatienceOptions {
  readonly driver: Pick<Driver, "apply" | "observe">;
  readonly pipeline: string;
  readonly clock: Pick<Clock, "elapsed" | "sleep">;
  /** Told when a control plane is started or restarted. */
  readonly progress?: ProgressSink;
  /** Restart one that has run for 30 s without an answer; default: only wait for it. */
  readonly restartHung?: boolean;
}

/**
 * How long a command bears with a control plane that does not answer, and what it does about it: whoever watches it brings it
 * back within seconds after a crash; after that, as when both were killed, nobody does but this. One for each outage.
 */
export class ControlPlanePatience {
  readonly #options: PatienceOptions;
  readonly #begun: number;
  #ranAt: number;
  #endedAt: number | undefined;
  #silentSince: number | undefined;
  #restartsBefore: number | undefined;
  #starts = 0;
  /** Whether it has run since this began: how it ends after that is news. */
  #hasStarted = false;
  #wasHung = false;
  /** Why it could not be started, the last time that it could not. */
  failure: FlowctlError | undefined;

  constructor(options: PatienceOptions) {
    this.#options = options;
    this.#begun = options.clock.elapsed();
    this.#ranAt = this.#begun;
  }

  /** Looks once, and starts or restarts it where that is due. Call it again and again while nothing answers. */
  async look(signal: AbortSignal): Promise<Outlook> {
    const { driver, pipeline, clock } = this.#options;
    const found = (await driver.observe(pipeline, signal)).find(({ kind }) => kind === "control-plane");
    const now = clock.elapsed();
    const runs = found?.state.status === "running";
    if (runs) {
      this.#ranAt = now;
      this.#hasStarted = true;
    }
    this.#silentSince = runs ? (this.#silentSince ?? now) : undefined;
    const restarts = found !== undefined && "restarts" in found.state ? found.state.restarts : 0;
    this.#restartsBefore ??= restarts;
    if (now - this.#ranAt >= GONE_FOR) return "ends";
    if (found === undefined || found.state.status === "created") return "absent";
    if (restarts - this.#restartsBefore >= KEEPS_ENDING) return "ends";
    const saidNever = "exitCode" in found.state && found.state.exitCode === NEVER_STARTS;
    const hasEnded = this.#hasStarted || restarts > this.#restartsBefore;
    if (saidNever && hasEnded) return "ends";
    // Whoever restarts one that said so lets it wait longer each time: it is tried now, as it may be able to by now.
    if (found.state.status === "exited" || saidNever) return await this.#afterItsEnd(found, now, signal);
    this.#endedAt = undefined;
    if (now - this.#begun >= SILENT_FOR) return "hangs";
    const hangs = this.#silentSince !== undefined && now - this.#silentSince >= HUNG_FOR;
    if (hangs && this.#options.restartHung === true && !this.#wasHung) {
      this.#wasHung = true;
      await this.#apply("restart", "not responding: restarting it", found, signal);
    }
    return "awaited";
  }

  async #afterItsEnd(found: ObservedResource, now: number, signal: AbortSignal): Promise<Outlook> {
    this.#endedAt ??= now;
    if (now - this.#endedAt < ENDED_FOR) return "awaited";
    if (this.#starts >= KEEPS_ENDING) return "ends";
    this.#starts++;
    this.#endedAt = undefined;
    await this.#apply(found.state.status === "exited" ? "start" : "restart", "starting it again", found, signal);
    return "awaited";
  }

  async #apply(
    action: "start" | "restart",
    text: string,
    observed: ObservedResource,
    signal: AbortSignal,
  ): Promise<void> {
    const { driver, pipeline, progress = () => undefined } = this.#options;
    const subject = observed.key;
    progress({ subject, status: "working", text });
    try {
      await driver.apply({ action, observed, cause: "it does not respond" }, { pipeline, signal, progress });
    } catch (error) {
      if (signal.aborted || !(error instanceof FlowctlError)) throw error;
      // It may be able to the next time; how often that is, is counted.
      this.failure = error;
      progress({ subject, status: "failed", text: error.message });
      return;
    }
    this.#hasStarted = true;
    progress({ subject, status: "done", text: action === "start" ? "started" : "restarted" });
  }
}

/** How it ended: `heard`, or the outlook that made it give up, with why it could not be started where that was tried. */
export interface Heard {
  readonly outcome: "heard" | "absent" | "ends" | "hangs";
  readonly failure: FlowctlError | undefined;
}

/**
 * Attempts something of a control plane again and again until one hears it. Gives up where there is none, unless `whileAbsent`
 * is to be waited, too, and where it ends or hangs.
 */
export async function untilHeard(
  attempt: () => Promise<boolean>,
  { whileAbsent, ...options }: PatienceOptions & { readonly whileAbsent: boolean },
  signal: AbortSignal,
): Promise<Heard> {
  const patience = new ControlPlanePatience(options);
  while (!(await attempt())) {
    const outlook = await patience.look(signal);
    const givesUp = outlook === "ends" || outlook === "hangs" || (outlook === "absent" && !whileAbsent);
    if (givesUp) return { outcome: outlook, failure: patience.failure };
    await options.clock.sleep(100, signal);
  }
  return { outcome: "heard", failure: undefined };
}

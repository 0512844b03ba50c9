import { hostname } from "node:os";
import type { ControlPlaneClient } from "../../client/client.ts";
import type { Driver } from "../../drivers/driver.ts";
import type { Clock } from "../../foundation/clock.ts";
import { withDeadline } from "../../foundation/deadline.ts";
import { FlowctlError, hasCode } from "../../foundation/errors.ts";
import type { DesiredChange } from "../../protocol/records.ts";
import { ControlPlaneAccess, isAway } from "../control-plane-access.ts";
import type { CliDependencies } from "../dependencies.ts";
import { type PatienceOptions, untilHeard } from "./control-plane-patience.ts";

/** How long the control plane may take to say whether an operation may begin, in milliseconds. */
const ANSWER_WITHIN = 5_000;

/** How long a change of the desired state may take. */
const DESIRED_WITHIN = 15_000;

export interface PersistentHold extends Pick<PatienceOptions, "progress" | "restartHung"> {
  /** Take it from another command that holds it. */
  readonly takeOver?: boolean;
  /** Wait, for half a minute, where no control plane is there. */
  readonly whileAbsent?: boolean;
}

type DesireCall = (client: ControlPlaneClient, signal: AbortSignal) => Promise<readonly string[]>;

/**
 * One command's hold on a pipeline that it changes, and its way to change the pipeline's desired state. As long as it is
 * held no other command changes the pipeline, unless it takes over. Release it when done; it goes with the process, too.
 */
export class PipelineOperation {
  readonly #access: ControlPlaneAccess;
  readonly #command: string;
  readonly #takenOver = new AbortController();
  readonly #clock: Clock;
  readonly #driver: Driver;
  readonly #pipeline: string;
  #held: AbortController | undefined;
  #number = 0;
  /** When what it is about to do was planned, where nobody could be asked then; in Unix milliseconds. */
  #plannedAt: number | undefined;
  /** Why nobody answered, the last time that nobody did. */
  #failure: FlowctlError | undefined;

  /** `command` is what is being done, for people, such as `flowctl up`. */
  constructor(deps: Pick<CliDependencies, "connect" | "clock">, driver: Driver, pipeline: string, command: string) {
    // A connection of its own: it must not go when a call over another one fails.
    this.#access = new ControlPlaneAccess(deps, driver, pipeline);
    this.#command = command;
    this.#clock = deps.clock;
    this.#driver = driver;
    this.#pipeline = pipeline;
  }

  /**
   * What is going to be done was planned from what was there at that time, in Unix milliseconds, where it is not held: once another
   * command has changed the pipeline since, it is not held any more (see `hold`).
   */
  plannedAt(time: number): void {
    this.#plannedAt = time;
  }

  /** Fires, with the error to end with, when another command has taken over. */
  get takenOver(): AbortSignal {
    return this.#takenOver.signal;
  }

  /** Its number, to be said with each change that is asked for: what comes after somebody has taken over is refused. */
  get number(): number {
    return this.#number;
  }

  /**
   * Holds the operation, unless it does already. Returns whether a control plane answered within 5 s. Rejects with
   * `control/operation-under-way` when another command holds it and is not to be taken over. Where it does not take over, and another one
   * held it since this one did, or since the time of `plannedAt`: with `control/operation-taken-over` when that one took over, such as
   * `flowctl stop`, else with `control/changed-since`.
   */
  async hold({ takeOver }: { readonly takeOver: boolean }, signal: AbortSignal): Promise<boolean> {
    this.takenOver.throwIfAborted();
    if (this.#held !== undefined) return true;
    const end = new AbortController();
    const deadline = withDeadline(signal, ANSWER_WITHIN);
    const onDeadline = (): void => end.abort();
    deadline.addEventListener("abort", onDeadline, { once: true });
    try {
      const client = await this.#access.client(deadline);
      const name = { command: this.#command, holder: `process ${process.pid} on ${hostname()}` };
      const stream = client
        .holdOperation(name, { takeOver, ...this.#planned(takeOver) }, end.signal)
        [Symbol.asyncIterator]();
      const first = await stream.next();
      if (first.done === true) {
        // It may have gone to one that is not there any more: the next one looks anew.
        this.#access.close();
        this.#failure = undefined;
        return false;
      }
      this.#number = first.value;
      this.#held = end;
      void this.#follow(stream, end);
      return true;
    } catch (error) {
      signal.throwIfAborted();
      this.#access.close();
      if (!isAway(error) && !deadline.aborted) throw error;
      this.#failure = error instanceof FlowctlError ? error : undefined;
      return false;
    } finally {
      deadline.removeEventListener("abort", onDeadline);
    }
  }

  /**
   * Holds it, asking again and again while nobody answers: a control plane that has just been started takes its time on a
   * busy machine, minutes at worst, and one that has ended is started again. Returns whether there is one; with `whileAbsent`
   * one that is not there yet is waited for, too. Gives up with `cli/no-control-plane` when none has run for half a minute, or
   * one ends again and again, and with `cli/control-plane-hangs` when one runs and has not answered for five minutes.
   * Rejects else as `hold` does.
   */
  async holdPersistently(options: PersistentHold, signal: AbortSignal): Promise<boolean> {
    return this.#persist(() => this.hold({ takeOver: options.takeOver ?? false }, signal), options, signal);
  }

  /**
   * Holds it and changes the desired state, asking again and again as `holdPersistently` does, and gives up as that does.
   * Returns the ids for which it made a difference; undefined where there is no control plane.
   */
  async desirePersistently(
    change: DesiredChange,
    options: PersistentHold,
    signal: AbortSignal,
  ): Promise<readonly string[] | undefined> {
    let changed: readonly string[] | undefined;
    const attempt = async (): Promise<boolean> => {
      if (!(await this.hold({ takeOver: options.takeOver ?? false }, signal))) return false;
      changed = await this.desire(change, signal);
      return true;
    };
    await this.#persist(attempt, options, signal);
    return changed;
  }

  async #persist(attempt: () => Promise<boolean>, options: PersistentHold, signal: AbortSignal): Promise<boolean> {
    const { takeOver: _, whileAbsent = false, ...rest } = options;
    const patience = { ...rest, driver: this.#driver, pipeline: this.#pipeline, clock: this.#clock, whileAbsent };
    const unlessAway = async (): Promise<boolean> => {
      try {
        return await attempt();
      } catch (error) {
        if (signal.aborted || !isAway(error)) throw error;
        this.#failure = error instanceof FlowctlError ? error : undefined;
        return false;
      }
    };
    const { outcome, failure } = await untilHeard(unlessAway, patience, signal);
    if (outcome === "hangs") throw this.#access.hangs(this.#failure);
    if (outcome === "ends") throw this.#access.away(failure);
    return outcome === "heard";
  }

  /** Changes the desired state. Returns the ids for which that made a difference; none when there is no pipeline yet. */
  async desire(change: DesiredChange, signal: AbortSignal): Promise<readonly string[]> {
    try {
      // The control plane waits a while itself, until nothing that contradicts it is under way.
      const ask: DesireCall = (client, inner) => client.setDesiredState(change, inner, this.#number);
      return await this.#access.call(signal, ask, DESIRED_WITHIN);
    } catch (error) {
      if (hasCode(error, "registry/no-pipeline")) return [];
      throw error;
    }
  }

  release(): void {
    this.#held?.abort();
    this.#held = undefined;
    this.#access.close();
  }

  /** The control plane's clock may be another one: it is told how long ago a time was. */
  #planned(takeOver: boolean): { readonly unchangedSince?: number; readonly unchangedForMs?: number } {
    if (takeOver) return {};
    if (this.#number !== 0) return { unchangedSince: this.#number };
    return this.#plannedAt === undefined ? {} : { unchangedForMs: Math.max(1, this.#clock.now() - this.#plannedAt) };
  }

  async #follow(stream: AsyncIterator<unknown>, held: AbortController): Promise<void> {
    try {
      await stream.next();
    } catch (error) {
      if (hasCode(error, "control/operation-taken-over")) this.#takenOver.abort(error);
      else if (!(error instanceof FlowctlError)) throw error;
      // The owner's certificate was replaced: the next hold is over a connection with the present one.
      else if (hasCode(error, "identity/revoked") && this.#held === held) this.#access.close();
    } finally {
      // The control plane is away: whoever needs the hold takes it again.
      if (this.#held === held) this.#held = undefined;
    }
  }
}

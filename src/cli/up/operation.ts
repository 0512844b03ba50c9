import { hostname } from "node:os";
import type { ControlPlaneClient } from "../../client/client.ts";
import type { Driver } from "../../drivers/driver.ts";
import type { Clock } from "../../foundation/clock.ts";
import { withDeadline } from "../../foundation/deadline.ts";
import { FlowctlError, hasCode } from "../../foundation/errors.ts";
import type { DesiredChange } from "../../protocol/records.ts";
import { ControlPlaneAccess, isAway, NO_CONTROL_PLANE } from "../control-plane-access.ts";
import type { CliDependencies } from "../dependencies.ts";

/** How long the control plane may take to say whether an operation may begin, in milliseconds. */
const ANSWER_WITHIN = 5_000;

/** How long none may run, as while one is replaced or restarted, and how long one that runs may not answer. */
const GONE_FOR = 30_000;
const SILENT_FOR = 300_000;

/** One that has ended so often meanwhile does not stay up. */
const KEEPS_ENDING = 3;

/** How long a change of the desired state may take. */
const DESIRED_WITHIN = 15_000;

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
   * command has changed the pipeline since, it is not held any more, with `control/changed-since`.
   */
  plannedAt(time: number): void {
    if (this.#number === 0) this.#number = time;
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
   * `control/operation-under-way` when another command holds it and is not to be taken over, and, when it is not taken over, with
   * `control/changed-since` when another one held it since this one did, or since the time of `plannedAt`.
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
      const unchangedSince = takeOver ? 0 : this.#number;
      const stream = client.holdOperation(name, { takeOver, unchangedSince }, end.signal)[Symbol.asyncIterator]();
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
   * busy machine, minutes at worst. Gives up with `cli/no-control-plane` when none has run for half a minute, or one ends
   * again and again, and with `cli/control-plane-hangs` when one runs and has not answered for five minutes. Rejects else as
   * `hold` does.
   */
  async holdPersistently(signal: AbortSignal): Promise<void> {
    const begun = this.#clock.elapsed();
    let ranAt = begun;
    let before: number | undefined;
    while (!(await this.hold({ takeOver: false }, signal))) {
      const now = this.#clock.elapsed();
      if (!hasCode(this.#failure, NO_CONTROL_PLANE)) ranAt = now;
      const restarts = await this.#restarts(signal);
      before ??= restarts;
      if (restarts - before >= KEEPS_ENDING || now - ranAt >= GONE_FOR) throw this.#access.away();
      if (now - begun >= SILENT_FOR) throw this.#access.hangs(this.#failure);
      await this.#clock.sleep(100, signal);
    }
  }

  /** How often the control plane that there is was started again. */
  async #restarts(signal: AbortSignal): Promise<number> {
    const observed = await this.#driver.observe(this.#pipeline, signal);
    const state = observed.find(({ kind }) => kind === "control-plane")?.state;
    return state !== undefined && "restarts" in state ? state.restarts : 0;
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

  async #follow(stream: AsyncIterator<unknown>, held: AbortController): Promise<void> {
    try {
      await stream.next();
    } catch (error) {
      if (hasCode(error, "control/operation-taken-over")) this.#takenOver.abort(error);
      else if (!(error instanceof FlowctlError)) throw error;
    } finally {
      // The control plane is away: whoever needs the hold takes it again.
      if (this.#held === held) this.#held = undefined;
    }
  }
}

import { hostname } from "node:os";
import type { Driver } from "../../drivers/driver.ts";
import { withDeadline } from "../../foundation/deadline.ts";
import { FlowctlError, hasCode } from "../../foundation/errors.ts";
import type { DesiredChange } from "../../protocol/records.ts";
import { ControlPlaneAccess, isAway } from "../control-plane-access.ts";
import type { CliDependencies } from "../dependencies.ts";

/** How long the control plane may take to say whether an operation may begin, in milliseconds. */
const ANSWER_WITHIN = 5_000;

/**
 * One command's hold on a pipeline that it changes, and its way to change the pipeline's desired state. As long as it is
 * held no other command changes the pipeline, unless it takes over. Release it when done; it goes with the process, too.
 */
export class PipelineOperation {
  readonly #access: ControlPlaneAccess;
  readonly #command: string;
  readonly #takenOver = new AbortController();
  #held: AbortController | undefined;
  #number = 0;

  /** `command` is what is being done, for people, such as `flowctl up`. */
  constructor(deps: Pick<CliDependencies, "connect" | "clock">, driver: Driver, pipeline: string, command: string) {
    // A connection of its own: it must not go when a call over another one fails.
    this.#access = new ControlPlaneAccess(deps, driver, pipeline);
    this.#command = command;
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
   * Holds the operation, unless it does already. Returns whether a control plane answered within `withinMs`. Rejects with
   * `control/operation-under-way` when another command holds it and is not to be taken over.
   */
  async hold(
    { takeOver, withinMs = ANSWER_WITHIN }: { readonly takeOver: boolean; readonly withinMs?: number },
    signal: AbortSignal,
  ): Promise<boolean> {
    this.takenOver.throwIfAborted();
    if (this.#held !== undefined) return true;
    const end = new AbortController();
    const deadline = withDeadline(signal, withinMs);
    const onDeadline = (): void => end.abort();
    deadline.addEventListener("abort", onDeadline, { once: true });
    try {
      const client = await this.#access.client(deadline);
      const name = { command: this.#command, holder: `process ${process.pid} on ${hostname()}` };
      const stream = client.holdOperation(name, { takeOver }, end.signal)[Symbol.asyncIterator]();
      const first = await stream.next();
      if (first.done === true) return false;
      this.#number = first.value;
      this.#held = end;
      void this.#follow(stream, end);
      return true;
    } catch (error) {
      signal.throwIfAborted();
      this.#access.close();
      if (isAway(error) || deadline.aborted) return false;
      throw error;
    } finally {
      deadline.removeEventListener("abort", onDeadline);
    }
  }

  /** Changes the desired state. Returns the ids for which that made a difference; none when there is no pipeline yet. */
  async desire(change: DesiredChange, signal: AbortSignal): Promise<readonly string[]> {
    try {
      return await this.#access.call(signal, (client, inner) => client.setDesiredState(change, inner, this.#number));
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

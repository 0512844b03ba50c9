import type { ControlPlaneClient } from "../client/client.ts";
import type { ControlPlaneEndpoint, Driver } from "../drivers/driver.ts";
import { cancelled } from "../foundation/clock.ts";
import { withDeadline } from "../foundation/deadline.ts";
import { FlowctlError, hasCode } from "../foundation/errors.ts";
import type { PipelineRecord } from "../protocol/records.ts";
import type { CliDependencies } from "./dependencies.ts";

/** Code of the error that says that no control plane runs. */
export const NO_CONTROL_PLANE = "cli/no-control-plane";

/** How long one call may take before the control plane counts as away, in milliseconds. */
const CALL_DEADLINE = 5_000;

/** The same while the last call was not answered in time: a command of many calls waits for who hangs once. */
const CALL_DEADLINE_WHILE_HANGING = 500;

/** The same where it is tried again and again: what takes long on a busy machine must not be begun anew all the time. */
const PATIENT_CALL_DEADLINE = 15_000;

/**
 * The control plane of one pipeline, found through its driver, and found again at another address after it was away.
 * Close it when done.
 */
export class ControlPlaneAccess {
  readonly #deps: Pick<CliDependencies, "connect" | "clock">;
  readonly #driver: Driver;
  readonly #pipeline: string;
  #client: ControlPlaneClient | undefined;
  #hanging: FlowctlError | undefined;

  constructor(deps: Pick<CliDependencies, "connect" | "clock">, driver: Driver, pipeline: string) {
    this.#deps = deps;
    this.#driver = driver;
    this.#pipeline = pipeline;
  }

  /** One call. Rejects with kind `unavailable` when no control plane runs or none answers within 5 s, or `withinMs`. */
  async call<T>(
    signal: AbortSignal,
    what: (client: ControlPlaneClient, signal: AbortSignal) => Promise<T>,
    withinMs?: number,
    isRepeated = false,
  ): Promise<T> {
    const client = await this.client(signal);
    const usual = this.#hanging === undefined ? CALL_DEADLINE : CALL_DEADLINE_WHILE_HANGING;
    const deadline = withDeadline(signal, withinMs ?? usual);
    try {
      const answer = await what(client, deadline);
      this.#hanging = undefined;
      return answer;
    } catch (error) {
      if (signal.aborted) throw cancelled(signal);
      this.#hanging = deadline.aborted ? this.hangs(error) : undefined;
      const failure = this.#hanging ?? (isUnknownMethod(error) ? this.#ofAnotherVersion(error) : error);
      if (isAway(failure)) this.close();
      // The owner's certificate was replaced since: the driver has the present one.
      const isReplaced = hasCode(failure, "identity/revoked") && this.#client === client;
      if (!isReplaced) throw failure;
      this.close();
      if (isRepeated) throw failure;
      return this.call(signal, what, withinMs, true);
    }
  }

  /** What the last call failed with, when somebody was there who did not answer. */
  get hanging(): FlowctlError | undefined {
    return this.#hanging;
  }

  /** The record of the pipeline; undefined when no control plane answers. */
  async record(signal: AbortSignal): Promise<PipelineRecord | undefined> {
    try {
      return await this.call(signal, (client, inner) => client.getPipeline(inner));
    } catch (error) {
      if (isAway(error) || (error instanceof FlowctlError && error.kind === "not-found")) return undefined;
      throw error;
    }
  }

  /**
   * The same call again and again while nothing answers, for at most `withinMs`. Each time over a new connection, with time
   * enough for a slow machine: what was lost on its way, or went to a control plane that has ended since, is found out.
   */
  async persistently<T>(
    withinMs: number,
    signal: AbortSignal,
    what: (client: ControlPlaneClient, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const end = this.#deps.clock.elapsed() + withinMs;
    for (;;) {
      try {
        return await this.call(signal, what, PATIENT_CALL_DEADLINE);
      } catch (error) {
        if (!isAway(error) || this.#deps.clock.elapsed() >= end) throw error;
        await this.#deps.clock.sleep(100, signal);
      }
    }
  }

  /** A client for streams. Rejects with `cli/no-control-plane` when none runs. */
  async client(signal: AbortSignal): Promise<ControlPlaneClient> {
    if (this.#client !== undefined) return this.#client;
    const endpoint = await this.#endpoint(signal);
    if (endpoint === undefined) throw this.away();
    this.#client = await this.#deps.connect(endpoint);
    return this.#client;
  }

  close(): void {
    this.#client?.close();
    this.#client = undefined;
  }

  async #endpoint(signal: AbortSignal): Promise<ControlPlaneEndpoint | undefined> {
    try {
      return await this.#driver.controlPlane(this.#pipeline, signal);
    } catch (error) {
      // A driver that knows of a control plane and gets no answer from it says so itself.
      if (error instanceof FlowctlError && isAway(error)) this.#hanging = error;
      throw error;
    }
  }

  /** What is said where no control plane runs; with why it could not be started, where that was tried. */
  away(failure?: FlowctlError): FlowctlError {
    const why = failure === undefined ? "does not answer" : `does not run, and cannot be started: ${failure.message}`;
    return new FlowctlError({
      code: NO_CONTROL_PLANE,
      kind: "unavailable",
      message: `The control plane of ${this.#pipeline} ${why}`,
      ...(failure === undefined ? {} : { cause: failure }),
      fix:
        failure?.fix ??
        `Look at it with \`flowctl logs -p ${this.#pipeline} control-plane\`, or start it with \`flowctl up -d -p ${this.#pipeline}\``,
    });
  }

  /** What is said of a control plane that does not know a call. */
  #ofAnotherVersion(cause: unknown): FlowctlError {
    return new FlowctlError({
      code: "cli/control-plane-version",
      kind: "conflict",
      message: `The control plane of ${this.#pipeline} is of an earlier version of flowctl, which cannot do this`,
      fix: `Run \`flowctl up -d -p ${this.#pipeline}\`, which replaces it`,
      cause,
    });
  }

  /** What is said of a control plane that is there and does not answer. */
  hangs(cause: unknown): FlowctlError {
    return new FlowctlError({
      code: "cli/control-plane-hangs",
      kind: "unavailable",
      message: `The control plane of ${this.#pipeline} is not responding; its components continue without it`,
      fix: `Run \`flowctl up -d -p ${this.#pipeline}\` to restart it, or \`flowctl down ${this.#pipeline}\` to stop everything; \`flowctl logs -p ${this.#pipeline} control-plane\` shows its last log lines`,
      cause,
    });
  }
}

/** Whether gRPC itself says that there is nothing of that name. */
function isUnknownMethod(error: unknown): boolean {
  return hasCode(error, "client/call-failed") && error.kind === "not-found";
}

/** Whether an error says that nobody answered, rather than that somebody refused. */
export function isAway(error: unknown): boolean {
  return error instanceof FlowctlError && (error.kind === "unavailable" || error.kind === "timeout");
}

import type { Registered, Registration, RegistryClient } from "../client/client.ts";
import { backoffDelay } from "../foundation/backoff.ts";
import type { Clock } from "../foundation/clock.ts";
import { withDeadline } from "../foundation/deadline.ts";
import { FlowctlError, hasCode } from "../foundation/errors.ts";
import { linkedSignal } from "../foundation/linked-signal.ts";
import type { Logger } from "../foundation/logger.ts";
import type { Assignment, InstanceMetrics, Topology } from "../protocol/records.ts";

export interface SessionOptions {
  readonly registry: RegistryClient;
  readonly registration: Registration;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: () => InstanceMetrics;
  readonly degradedReason: () => string;
  /** A source: what it reads at this moment. */
  readonly held: () => readonly Assignment[];
  /** Draining groups below that have everything; see `HeartbeatRequest.drained_groups`. */
  readonly drainedGroups: () => readonly string[];
  /** By group below: the last mark before which nothing is owed there; see `HeartbeatRequest.settled_marks`. */
  readonly settledMarks: () => Readonly<Record<string, number>>;
  /** The largest mark that was heard of; see `HeartbeatRequest.heard_mark`. */
  readonly heardMark: () => number;
  /** The surroundings changed. */
  readonly onTopology: (topology: Topology) => void;
  /** Whether the instance waits for another certificate: see `Membership.isChanging`. */
  readonly isChanging?: (() => boolean) | undefined;
}

const CALL_TIMEOUT_MS = 5_000;
const FIRST_HEARTBEAT_MS = 1_000;

/** Kinds of failure that go away by themselves: the control plane is away, starting, or does not know the pipeline yet. */
const PASSING: ReadonlySet<FlowctlError["kind"]> = new Set(["unavailable", "timeout", "not-found", "internal"]);

/** Whether a failed call is worth being made again. Who shows a certificate that has expired is about to get another one. */
export function isPassing(error: unknown): boolean {
  return error instanceof FlowctlError && (PASSING.has(error.kind) || error.code === "identity/expired");
}

/**
 * A component's standing with the control plane: registers, sends heartbeats, follows the topology, and registers again by itself
 * whenever the control plane was away or forgot it. Streams go on meanwhile.
 */
export class Session {
  private readonly options: SessionOptions;
  private registration: Registration;
  private heartbeatMs = 10_000;
  private early = new AbortController();

  constructor(options: SessionOptions) {
    this.options = options;
    this.registration = options.registration;
  }

  /**
   * Registers; tries until the control plane answers. Rejects when the control plane refuses for good, and with kind
   * `cancelled` when the signal fires.
   */
  async register(signal: AbortSignal): Promise<Registered> {
    const { registry, clock, log } = this.options;
    for (let attempt = 1; ; attempt++) {
      try {
        const answer = await registry.register(
          { ...this.registration, held: this.options.held() },
          withTimeout(signal),
        );
        if (answer.heartbeatInterval > 0) this.heartbeatMs = answer.heartbeatInterval;
        return answer;
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof FlowctlError) || !this.goesAway(error)) throw error;
        if (attempt === 1 || attempt % 20 === 0) {
          log.warn("cannot register yet; retrying", { code: error.code, reason: error.message, attempt });
        }
        await clock.sleep(backoffDelay(attempt, { initialMs: 50, maxMs: 1_000 }), signal);
      }
    }
  }

  /** Registers with other particulars from now on. */
  amend(changes: Partial<Registration>): void {
    this.registration = { ...this.registration, ...changes };
  }

  /** Sends a heartbeat at once: there is something that should not wait for the next heartbeat. */
  heartbeatNow(): void {
    this.early.abort();
  }

  /** Sends heartbeats and follows the topology until the signal fires. Rejects only when the control plane refuses the component. */
  async keep(signal: AbortSignal): Promise<void> {
    await Promise.all([this.sendHeartbeats(signal), this.followTopology(signal)]);
  }

  /**
   * Tells that it ends. Gives up after the signal fires: the control plane then notices by itself. Rejects when another program has taken
   * the instance's place, so that nobody takes the word of this one that it has completed.
   */
  async deregister(reason: "stopped" | "completed" | "failed", message: string, signal: AbortSignal): Promise<void> {
    const { registry, clock, log, metrics } = this.options;
    let refused = 0;
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        await registry.deregister(reason, message, metrics(), withTimeout(signal));
        return;
      } catch (error) {
        if (hasCode(error, "registry/unknown-instance") && reason !== "completed") return;
        // Whom it refuses for good it does not wait for: the instance has left, or another program is in its place.
        if (hasCode(error, "registry/unknown-instance") && (await this.isRefused(signal))) return;
        // The first may have been under way when the instance was given another certificate.
        if (isUnauthenticated(error) && !this.goesAway(error) && ++refused > 1) {
          if (reason === "completed") throw error;
          return;
        }
        log.debug("cannot deregister yet", { attempt, reason: String(error) });
        await clock.sleep(backoffDelay(attempt, { initialMs: 50, maxMs: 500 }), signal).catch(() => undefined);
      }
    }
  }

  private async isRefused(signal: AbortSignal): Promise<boolean> {
    try {
      await this.options.registry.register({ ...this.registration, held: this.options.held() }, withTimeout(signal));
      return false;
    } catch (error) {
      // Whether a refused certificate is its newest one, the next last word shows.
      if (signal.aborted || !(error instanceof FlowctlError) || isUnauthenticated(error)) return false;
      return !isPassing(error) || hasCode(error, "registry/unknown-component");
    }
  }

  private async sendHeartbeats(signal: AbortSignal): Promise<void> {
    const { registry, clock, log, metrics, degradedReason, drainedGroups, settledMarks, heardMark } = this.options;
    let away = false;
    let refused = 0;
    // The first heartbeats come sooner, so that whoever looks at a pipeline that has just started sees what it does.
    for (let interval = FIRST_HEARTBEAT_MS; !signal.aborted; interval = Math.min(interval * 2, this.heartbeatMs)) {
      const sooner = linkedSignal(signal, this.early.signal);
      await clock.sleep(Math.min(interval, this.heartbeatMs), sooner.signal).catch(() => undefined);
      sooner.release();
      if (signal.aborted) return;
      this.early = new AbortController();
      try {
        const beat = {
          metrics: metrics(),
          degradedReason: degradedReason(),
          drainedGroups: drainedGroups(),
          settledMarks: settledMarks(),
          heardMark: heardMark(),
        };
        await registry.heartbeat(beat, withTimeout(signal));
        if (away) log.info("reconnected to the control plane");
        away = false;
        refused = 0;
      } catch (error) {
        if (signal.aborted) return;
        // The first may have been under way when the instance was given another certificate.
        if (isUnauthenticated(error) && !this.goesAway(error) && ++refused > 1) throw error;
        if (hasCode(error, "registry/unknown-instance")) await this.reregister(signal);
        else if (!away) {
          away = true;
          log.warn("cannot send heartbeats; events continue to flow", { reason: String(error) });
        }
      }
    }
  }

  private async followTopology(signal: AbortSignal): Promise<void> {
    const { registry, clock, log, onTopology } = this.options;
    let attempt = 0;
    while (!signal.aborted) {
      try {
        for await (const topology of registry.watchTopology(signal)) {
          attempt = 0;
          onTopology(topology);
        }
      } catch (error) {
        if (signal.aborted) return;
        attempt++;
        if (hasCode(error, "registry/unknown-instance")) await this.reregister(signal);
        else log.debug("lost the topology stream; reconnecting", { reason: String(error), attempt });
      }
      await clock
        .sleep(backoffDelay(Math.max(1, attempt), { initialMs: 50, maxMs: 1_000 }), signal)
        .catch(() => undefined);
    }
  }

  private goesAway(error: unknown): boolean {
    return isPassing(error) || (isUnauthenticated(error) && this.options.isChanging?.() === true);
  }

  private async reregister(signal: AbortSignal): Promise<void> {
    const { log, onTopology } = this.options;
    try {
      const answer = await this.register(signal);
      log.info("re-registered");
      onTopology(answer.topology);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
}

/** Whether the control plane does not take the program for the instance any more. */
function isUnauthenticated(error: unknown): boolean {
  return error instanceof FlowctlError && error.kind === "unauthenticated";
}

function withTimeout(signal: AbortSignal): AbortSignal {
  return withDeadline(signal, CALL_TIMEOUT_MS);
}

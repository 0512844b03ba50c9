import type { Change, Driver, DriverEvent, ObservedResource, ResourceKey } from "../../drivers/driver.ts";
import { backoffDelay } from "../../foundation/backoff.ts";
import type { Clock } from "../../foundation/clock.ts";
import { FlowctlError, messageOf } from "../../foundation/errors.ts";
import type { Logger } from "../../foundation/logger.ts";
import type { ComponentSpec, InstanceReport } from "../../protocol/records.ts";
import type { InstanceEntry } from "../instance.ts";
import type { Registry } from "../registry.ts";
import { reasonOf } from "../states.ts";
import { edgesOf } from "../topology.ts";
import { type Decision, decide, type Happening, type Watched, watch } from "./policy.ts";

/** What the supervisor needs of a driver. */
export type SupervisedDriver = Pick<Driver, "events" | "apply" | "observe" | "capabilities">;

export interface SupervisorOptions {
  readonly driver: SupervisedDriver;
  readonly registry: Registry;
  readonly pipeline: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** So long an instance may be unhealthy before it is restarted. */
  readonly unhealthyAfterMs: number;
  /** Source of randomness in [0, 1); default Math.random. */
  readonly random?: () => number;
}

/** One instance that the pipeline is to have. */
interface Target {
  readonly spec: ComponentSpec;
  readonly instanceId: string;
  readonly key: ResourceKey;
}

/** How often states are looked at and what is due is done, in milliseconds. */
const tickMs = 200;

/** So long a program may take to register, in milliseconds, unless its component says otherwise. */
const DEFAULT_START_DEADLINE = 60_000;

/** Exit code of a program that was ended by SIGTERM. */
const terminated = 143;

/**
 * Keeps a pipeline's instances running by its driver until the signal fires: tells the registry what the driver sees,
 * starts what ended unexpectedly and is not started by the driver itself, restarts what hangs, and gives up what crashes
 * again and again. Decides by `policy.ts`. A driver that fails is asked again later. Resolves when the signal fires.
 */
export async function supervise(options: SupervisorOptions, signal: AbortSignal): Promise<void> {
  const supervisor = new Supervisor(options, signal);
  await Promise.all([supervisor.followDriver(), supervisor.tick()]);
}

class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #signal: AbortSignal;
  readonly #watched = new Map<ResourceKey, Watched>();

  constructor(options: SupervisorOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
  }

  /** Follows the driver's events; what happened while nobody followed is found by looking at what there is. */
  async followDriver(): Promise<void> {
    const { driver, pipeline, clock, log } = this.#options;
    for (let attempt = 1; !this.#signal.aborted; attempt++) {
      try {
        await this.#catchUp();
        for await (const event of driver.events(pipeline, this.#signal)) {
          attempt = 1;
          this.#onDriverEvent(event);
        }
      } catch (error) {
        if (this.#signal.aborted) return;
        log.warn("the driver's events broke off", { driver_error: messageOf(error) });
      }
      await this.#sleep(clock, backoffDelay(attempt, { initialMs: 200, maxMs: 10_000 }));
    }
  }

  async tick(): Promise<void> {
    while (!this.#signal.aborted) {
      const entries = new Map(this.#options.registry.entries().map((entry) => [componentKey(entry.data.id), entry]));
      for (const target of this.#targets()) {
        const entry = entries.get(target.key);
        if (entry === undefined && !this.#watched.has(target.key)) continue;
        const above = entry?.data.state.name === "completed" ? this.#runsAgainAbove(target, entry) : undefined;
        if (above !== undefined) this.#handle(target, { type: "needed", cause: `${above} runs again` });
        else this.#handle(target, this.#stateOf(target, entry));
      }
      await this.#sleep(this.#options.clock, tickMs);
    }
  }

  async #catchUp(): Promise<void> {
    const observed = await this.#options.driver.observe(this.#options.pipeline, this.#signal);
    for (const { key, state } of observed) {
      const target = this.#target(key);
      if (target === undefined || state.status !== "exited") continue;
      const { exitCode, oomKilled, finishedAt } = state;
      this.#onDriverEvent({ type: "exited", key, time: finishedAt, exitCode, oomKilled, willRestart: false });
    }
  }

  #onDriverEvent(event: DriverEvent): void {
    const target = this.#target(event.key);
    if (target === undefined) return;
    switch (event.type) {
      case "started":
        this.#report(target, { observation: "started" }, event.time);
        this.#handle(target, { type: "started", at: event.time });
        return;
      case "exited": {
        const { exitCode, oomKilled, willRestart, time } = event;
        const unexpected = this.#isWanted(target, exitCode);
        this.#report(target, { observation: "exited", exitCode, oomKilled, willRestart }, time);
        const how = this.#howItEnded(target, exitCode, oomKilled);
        this.#handle(target, { type: "exited", at: time, how, unexpected, willRestart });
        return;
      }
      case "removed":
        this.#watched.delete(event.key);
        this.#report(target, { observation: "removed" }, event.time);
        return;
      case "health":
        // Docker's own opinion; the control plane asks each component by itself.
        return;
    }
  }

  #handle(target: Target, happening: Happening): void {
    const { clock, unhealthyAfterMs, random = Math.random } = this.#options;
    const now = clock.now();
    const before = this.#watched.get(target.key) ?? watch(happening.type === "exited" ? 0 : now);
    const limits = { maxRestarts: target.spec.maxRestarts, illForMs: unhealthyAfterMs, random };
    const { next, decision } = decide(before, happening, limits, now);
    this.#watched.set(target.key, next);
    if (decision !== undefined) void this.#carryOut(target, decision);
  }

  /** Never rejects: what the driver could not do is told to the policy. */
  async #carryOut(target: Target, decision: Decision): Promise<void> {
    const { log, registry } = this.#options;
    const { instanceId, spec } = target;
    if (decision.type === "apply") {
      log.warn(`${decision.action}s ${instanceId}`, { instance: instanceId, cause: decision.cause });
      const error = await this.#apply(target, decision.action, decision.cause);
      if (error !== undefined) log.error(`cannot ${decision.action} ${instanceId}`, { instance: instanceId, error });
      this.#handle(target, { type: "acted", ...(error === undefined ? {} : { error }) });
      return;
    }
    // First it ends: what the driver starts once more while it is being stopped must not look like a new life.
    const error = await this.#apply(target, "stop", decision.reason);
    if (error !== undefined) log.error(`cannot stop ${instanceId}`, { instance: instanceId, error });
    this.#handle(target, { type: "acted" });
    registry.fail(spec.id, instanceId, decision.reason);
  }

  /** Returns why it could not be done. What is not there (any more) needs nothing. */
  async #apply({ key }: Target, action: "start" | "restart" | "stop", cause: string): Promise<string | undefined> {
    const { driver, pipeline, log } = this.#options;
    try {
      const observed = (await driver.observe(pipeline, this.#signal)).find((resource) => resource.key === key);
      if (observed === undefined || isDone(action, observed)) return undefined;
      const change: Change = { action, observed, cause };
      await driver.apply(change, {
        pipeline,
        signal: this.#signal,
        progress: (event) => log.debug(`${event.subject}: ${event.text}`),
        force: action === "restart",
      });
      return undefined;
    } catch (error) {
      return messageOf(error);
    }
  }

  #report(target: Target, seen: Omit<InstanceReport, "componentId" | "instanceId">, at: number): void {
    this.#options.registry.report({ ...seen, componentId: target.spec.id, instanceId: target.instanceId }, at);
  }

  #entry({ spec, instanceId }: Target): InstanceEntry | undefined {
    return this.#options.registry.entry(spec.id, instanceId);
  }

  /**
   * An upstream component that was started after this instance had completed. One that had not completed then may only wait
   * for others: it tells each group the end when that group has everything.
   */
  #runsAgainAbove({ spec }: Target, { data: { state: completed } }: InstanceEntry): string | undefined {
    const { registry } = this.#options;
    if (registry.spec === undefined) return undefined;
    const above = edgesOf(registry.spec).filter((edge) => edge.to.id === spec.id);
    const again = above.find(({ from }) =>
      registry
        .component(from.id)
        .instances.some(({ state, registeredAt }) => state === "healthy" && registeredAt > completed.since),
    );
    return again?.from.id;
  }

  #isWanted(target: Target, exitCode: number): boolean {
    const name = this.#entry(target)?.data.state.name;
    // Nobody dies of SIGTERM by itself: it was told to stop, and had no time to say goodbye.
    return exitCode !== terminated && name !== "completed" && name !== "stopping" && name !== "failed";
  }

  #howItEnded(target: Target, exitCode: number, oomKilled: boolean): string {
    const entry = this.#entry(target);
    // What it said itself before it ended tells more.
    const said = entry !== undefined && !entry.data.live ? reasonOf(entry.data.state) : "";
    const how = oomKilled
      ? "ran out of memory and was killed"
      : exitCode === 0
        ? "ended without having completed"
        : `exited with code ${exitCode}`;
    return said === "" || said.startsWith("exited") ? how : `${how}: ${said}`;
  }

  #stateOf(target: Target, entry: InstanceEntry | undefined): Happening {
    const state = entry?.data.state;
    const mute = this.#muteSince(target, entry);
    if (mute !== undefined) {
      const reason = `runs since ${new Date(mute).toISOString()} and has not registered`;
      return { type: "state", state: "ill", hung: true, since: mute, reason };
    }
    if (entry === undefined || state === undefined) {
      return { type: "state", state: "other", hung: false, since: this.#options.clock.now(), reason: "" };
    }
    const { vitals } = entry;
    const silent = this.#options.clock.now() - vitals.heardAt > this.#options.unhealthyAfterMs;
    const ill = state.name === "unhealthy";
    return {
      type: "state",
      state: state.name === "healthy" ? "healthy" : ill ? "ill" : "other",
      hung: ill && silent && vitals.probe.result !== "passing",
      since: state.since,
      reason: reasonOf(state),
    };
  }

  /** Since when an instance runs that has not registered, when that is longer ago than it may take. */
  #muteSince(target: Target, entry: InstanceEntry | undefined): number | undefined {
    const watched = this.#watched.get(target.key);
    if (watched?.phase !== "running" || entry?.data.live || (entry?.data.state.name ?? "starting") !== "starting") {
      return undefined;
    }
    const limit = target.spec.startDeadlineMs ?? DEFAULT_START_DEADLINE;
    return this.#options.clock.now() - watched.since > limit ? watched.since : undefined;
  }

  #targets(): readonly Target[] {
    return (this.#options.registry.spec?.components ?? []).flatMap((spec) =>
      Array.from({ length: spec.replicas }, (_, index) => {
        const instanceId = `${spec.id}-${index + 1}`;
        return { spec, instanceId, key: componentKey(instanceId) };
      }),
    );
  }

  #target(key: ResourceKey): Target | undefined {
    return this.#targets().find((target) => target.key === key);
  }

  async #sleep(clock: Clock, ms: number): Promise<void> {
    try {
      await clock.sleep(ms, this.#signal);
    } catch (error) {
      if (!(error instanceof FlowctlError && error.kind === "cancelled")) throw error;
    }
  }
}

function componentKey(instanceId: string): ResourceKey {
  return `component/${instanceId}`;
}

function isDone(action: "start" | "restart" | "stop", { state }: ObservedResource): boolean {
  if (action === "start") return state.status === "running";
  if (action === "stop") return state.status === "exited" || state.status === "created";
  return false;
}

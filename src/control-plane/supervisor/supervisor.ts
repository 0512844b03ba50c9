import type { Change, DriverEvent, ObservedResource, ResourceKey } from "../../drivers/driver.ts";
import { backoffDelay } from "../../foundation/backoff.ts";
import type { Clock } from "../../foundation/clock.ts";
import { FlowctlError, messageOf } from "../../foundation/errors.ts";
import type { Logger } from "../../foundation/logger.ts";
import { type ComponentSpec, type InstanceReport, instanceIdsOf } from "../../protocol/records.ts";
import { describeExit, type InstanceEntry, silenceOf } from "../instance.ts";
import type { Registry } from "../registry.ts";
import { reasonOf } from "../states.ts";
import { edgesOf } from "../topology.ts";
import { AskedAlready, type NotDone, notDone } from "./asked-already.ts";
import { LossNotice } from "./loss-notice.ts";
import { type Action, decide, type Happening, moved, type Watched, watch } from "./policy.ts";
import { ServiceWatch } from "./service-watch.ts";
import { lastLine, type SupervisedDriver } from "./supervised-driver.ts";
import { UnderWay, type Work } from "./under-way.ts";

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

/** How often all that there is is looked at, whatever the driver's events tell, in milliseconds. */
const LOOK_AGAIN_MS = 10_000;

/** So long a program may take to register, in milliseconds, unless its component says otherwise. */
const DEFAULT_START_DEADLINE = 60_000;

export interface Supervision {
  /** Resolves when the signal has fired and nothing is done any more. */
  readonly ended: Promise<void>;
  /** Resolves when nothing that was begun before is still starting one of these instances. */
  settled(instanceIds: readonly string[]): Promise<void>;
  /** The clock was set by so many milliseconds. */
  clockJumped(ms: number): void;
}

/**
 * Makes what runs what is desired, by the pipeline's driver, until the signal fires: tells the registry what the driver
 * sees, starts what is to run and ended, restarts what hangs, gives up what crashes again and again, and stops what is
 * not to run. While a command holds the operation it only follows crashes: the rest is that command's business until it is
 * done or gone. Decides by `policy.ts`. A driver that fails is asked again later.
 */
export function supervise(options: SupervisorOptions, signal: AbortSignal): Supervision {
  options.registry.driverWatches(true);
  const supervisor = new Supervisor(options, signal);
  return {
    ended: Promise.all([supervisor.followDriver(), supervisor.tick()]).then(() => supervisor.settled()),
    settled: (instanceIds) => supervisor.settled(new Set(instanceIds)),
    clockJumped: (ms) => supervisor.moveTimes(ms),
  };
}

class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #signal: AbortSignal;
  readonly #watched = new Map<ResourceKey, Watched>();
  /** When the driver said that an instance which runs was started: the same again is no news, whatever the clock does. */
  readonly #seenStarts = new Map<ResourceKey, number>();
  /** The clock was set since the last look: what the driver says of when something was started may be of before. */
  #clockMoved = false;
  /** What was taken from what runs, as of the last look. */
  readonly #flaws = new Map<ResourceKey, string>();
  #lookedAt = Number.NEGATIVE_INFINITY;
  /** What ended while nobody looked is known: before that, whoever is not known to have ended would count as running from now on. */
  #hasLooked = false;
  readonly #asked = new AskedAlready();
  readonly #services: ServiceWatch;
  /** By instance id: what the driver is doing to it. */
  readonly #underWay = new UnderWay();

  constructor(options: SupervisorOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
    const { unhealthyAfterMs: illForMs, random = Math.random } = options;
    this.#services = new ServiceWatch({ ...options, illForMs, random, signal });
  }

  /** Follows the driver's events; what happened while nobody followed is found by looking at what there is. */
  async followDriver(): Promise<void> {
    const { driver, registry, pipeline, clock, log } = this.#options;
    const notice = new LossNotice({ clock, log });
    for (let attempt = 1; !this.#signal.aborted; attempt++) {
      try {
        await this.#catchUp();
        notice.back();
        registry.driverWatches(true);
        for await (const event of driver.events(pipeline, this.#signal)) {
          attempt = 1;
          this.#onDriverEvent(event);
        }
      } catch (error) {
        if (this.#signal.aborted) return;
        notice.lost(error);
      }
      // Nobody would see the end of an instance meanwhile: its next start is not to wait until nothing was heard of the last for long.
      registry.driverWatches(false);
      await this.#sleep(clock, backoffDelay(attempt, { initialMs: 200, maxMs: 10_000 }));
    }
  }

  async tick(): Promise<void> {
    while (!this.#signal.aborted) {
      this.#lookAgain();
      const entries = new Map(this.#options.registry.entries().map((entry) => [componentKey(entry.data.id), entry]));
      const targets = this.#targets();
      this.#forgetAllBut(targets);
      for (const target of targets) {
        const entry = entries.get(target.key);
        if (!this.#watched.has(target.key) && (entry === undefined || !this.#hasLooked)) continue;
        if (this.#isLeftToCommand(target)) continue;
        this.#handle(target, this.#look(target, entry));
      }
      this.#services.tick();
      await this.#sleep(this.#options.clock, tickMs);
    }
  }

  /** What is remembered moves along with the clock. */
  moveTimes(ms: number): void {
    this.#clockMoved = true;
    for (const [key, watched] of this.#watched) this.#watched.set(key, moved(watched, ms));
    this.#services.moveTimes(ms);
  }

  /** Resolves when nothing that was begun before is done any more to these instances, or to any. */
  async settled(instanceIds?: ReadonlySet<string>): Promise<void> {
    await Promise.all([this.#underWay.settled(instanceIds), this.#services.settled()]);
  }

  #look(target: Target, entry: InstanceEntry | undefined): Happening {
    const { registry } = this.#options;
    // What leaves is started again whatever a command does: that may be waiting for it.
    const leaves = registry.desire(target.spec.id, target.instanceId) === "leaving";
    const busy = registry.operations.current !== undefined && !leaves;
    if (!this.#isToRun(target)) return { type: "unwanted", now: !busy && !this.#stillStopsAbove(target) };
    if (entry?.data.state.name === "completed") {
      const above = this.#runsAgainAbove(target, entry);
      if (above !== undefined) return { type: "needed", cause: `upstream ${above} is running again` };
    } else if (entry?.data.state.name !== "failed" && !busy && this.#rests(target)) {
      return { type: "needed", cause: "desired state is running" };
    }
    return this.#stateOf(target, entry);
  }

  #isToRun({ spec, instanceId }: Target): boolean {
    return this.#options.registry.isToRun(spec.id, instanceId);
  }

  /** A command is about to start it anew: what is due to be started of it would only be replaced. */
  #isLeftToCommand({ key, instanceId }: Target): boolean {
    return this.#watched.get(key)?.phase === "waiting" && this.#options.registry.operations.isEnding(instanceId);
  }

  /** It ended as it should, or was given up, and nothing is due. */
  #rests({ key }: Target): boolean {
    const phase = this.#watched.get(key)?.phase;
    return phase === "ended" || phase === "failed";
  }

  /** Something above, which is to be stopped, too, has not: what it has given still finds somebody to take it. */
  #stillStopsAbove({ spec }: Target): boolean {
    const { registry } = this.#options;
    if (registry.spec === undefined) return false;
    // Only with ways that drain could it be above itself.
    const edges = edgesOf(registry.spec).filter(({ to, draining }) => to.id === spec.id && !draining);
    const above = new Set(edges.map(({ from }) => from.id));
    return this.#targets().some((target) => {
      const phase = this.#watched.get(target.key)?.phase;
      return above.has(target.spec.id) && !this.#isToRun(target) && (phase === "running" || phase === "acting");
    });
  }

  /** Takes what there is for what happened while nobody looked, or what was not told. */
  async #catchUp(): Promise<void> {
    const observed = await this.#options.driver.observe(this.#options.pipeline, this.#signal);
    this.#lookedAt = this.#options.clock.elapsed();
    this.#services.looked(observed);
    for (const resource of observed) {
      const { key, state, flaw } = resource;
      if (flaw === undefined) this.#flaws.delete(key);
      else this.#flaws.set(key, flaw);
      if (resource.kind === "control-plane" && flaw !== undefined) await this.#mendSelf(resource, flaw);
      const target = this.#target(key);
      if (target === undefined) continue;
      if (state.status === "running") this.#foundRunning(target, state.startedAt);
      if (state.status !== "exited") continue;
      const { exitCode, oomKilled, finishedAt } = state;
      const watched = this.#watched.get(key);
      const isNews = watched === undefined || (watched.phase === "running" && finishedAt >= watched.since);
      if (isNews)
        this.#onDriverEvent({ type: "exited", key, time: finishedAt, exitCode, oomKilled, willRestart: false });
    }
    this.#clockMoved = false;
    this.#hasLooked = true;
  }

  /** Whoever is cut off hears nobody, and would restart everybody for that. */
  async #mendSelf(observed: ObservedResource, flaw: string): Promise<void> {
    const { driver, pipeline, log } = this.#options;
    const cause = `the control plane is ${flaw}`;
    log.warn(`${cause}; repairing it`);
    await driver.apply(
      { action: "start", observed, cause },
      { pipeline, signal: this.#signal, progress: (event) => log.debug(`${event.subject}: ${event.text}`) },
    );
  }

  #foundRunning(target: Target, startedAt: number): void {
    const runs = this.#watched.get(target.key)?.phase === "running";
    const known = runs && (this.#clockMoved || this.#seenStarts.get(target.key) === startedAt);
    this.#seenStarts.set(target.key, startedAt);
    if (known) return;
    const data = this.#entry(target)?.data;
    const watched = this.#watched.get(target.key);
    const rested = (watched?.phase === "ended" || watched?.phase === "failed") && startedAt >= watched.since;
    if (rested || (data?.live && startedAt > data.registeredAt)) {
      this.#onDriverEvent({ type: "started", key: target.key, time: startedAt });
    } else if (watched === undefined && !this.#isToRun(target)) this.#watched.set(target.key, watch(startedAt));
  }

  /** Events may be lost, in an engine as well: what there is counts. */
  #lookAgain(): void {
    const { clock, log } = this.#options;
    if (clock.elapsed() - this.#lookedAt < LOOK_AGAIN_MS) return;
    this.#lookedAt = clock.elapsed();
    this.#catchUp().catch((error: unknown) => {
      if (!this.#signal.aborted) log.debug("cannot list the running instances", { driver_error: messageOf(error) });
    });
  }

  /** An instance that comes back under the same id has not crashed yet. */
  #forgetAllBut(targets: readonly Target[]): void {
    const keys = new Set(targets.map(({ key }) => key));
    for (const key of this.#watched.keys()) if (!keys.has(key)) this.#watched.delete(key);
  }

  /** What the pipeline does not have any more is forgotten once its program has ended. */
  #forget(event: DriverEvent): void {
    if (event.type !== "exited" && event.type !== "removed") return;
    const data = this.#options.registry.entries().find((entry) => componentKey(entry.data.id) === event.key)?.data;
    if (data === undefined) return;
    const { componentId, id: instanceId } = data;
    this.#options.registry.report({ componentId, instanceId, observation: "removed" }, event.time);
  }

  #onDriverEvent(told: DriverEvent): void {
    // Nothing has happened in the future: a clock that was set back meanwhile says so.
    const event: DriverEvent = { ...told, time: Math.min(told.time, this.#options.clock.now()) };
    // One that was made since the last look is looked at now.
    if (!this.#services.told(event)) this.#lookedAt = Number.NEGATIVE_INFINITY;
    const target = this.#target(event.key);
    if (target === undefined) {
      this.#forget(event);
      return;
    }
    switch (event.type) {
      case "started": {
        const { operations } = this.#options.registry;
        const wasEnding = operations.isEnding(target.instanceId);
        this.#report(target, { observation: "started" }, event.time);
        // What a command has made anew has not crashed yet.
        if (wasEnding && !operations.isEnding(target.instanceId)) this.#watched.set(target.key, watch(event.time));
        this.#handle(target, { type: "started", at: event.time });
        return;
      }
      case "exited": {
        const { exitCode, oomKilled, willRestart, time } = event;
        const unexpected = this.#isWanted(target);
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

  /** When what is looked at for the first time was started, at the latest: that it has ended meanwhile may not be known yet. */
  #runsSince({ spec, instanceId }: Target, now: number): number {
    const { live, registeredAt } = this.#options.registry.entry(spec.id, instanceId)?.data ?? {};
    return live && registeredAt !== undefined ? Math.min(now, registeredAt) : now;
  }

  #handle(target: Target, happening: Happening): void {
    const { clock, unhealthyAfterMs, random = Math.random } = this.#options;
    const now = clock.now();
    const before =
      this.#watched.get(target.key) ?? watch(happening.type === "exited" ? 0 : this.#runsSince(target, now));
    const limits = { maxRestarts: target.spec.maxRestarts, illForMs: unhealthyAfterMs, random };
    const { next, decision } = decide(before, happening, limits, now);
    this.#watched.set(target.key, next);
    if (next.phase === "running") this.#asked.over(target.key);
    if (decision === undefined) return;
    const { instanceId } = target;
    if (decision.type === "withdraw") this.#underWay.withdraw(instanceId);
    else this.#underWay.begin(instanceId, this.#signal, (signal) => this.#carryOut(target, decision, signal));
  }

  /** Never rejects: what the driver could not do is told to the policy. */
  async #carryOut(target: Target, decision: Work, signal: AbortSignal): Promise<void> {
    const { driver, pipeline, log, registry } = this.#options;
    const { instanceId, spec } = target;
    if (decision.type === "apply") {
      const verb = { start: "starts", restart: "restarts", stop: "stops" }[decision.action];
      // What ended by itself has said so; what hangs says nothing.
      const said =
        decision.action === "restart" ? await lastLine(driver, pipeline, instanceId, decision.cause, signal) : "";
      log.warn(`${verb} ${instanceId}`, { instance: instanceId, cause: decision.cause + said });
      registry.remark(spec.id, instanceId, `${decision.action}: ${decision.cause}${said}`);
      const error = await this.#apply(target, decision, signal);
      if (signal.aborted) return;
      if (error !== undefined)
        log.error(`cannot ${decision.action} ${instanceId}`, { instance: instanceId, error: error.message });
      this.#handle(
        target,
        error === undefined ? { type: "acted" } : { type: "acted", error: error.message, away: error.away },
      );
      return;
    }
    await this.#giveUp(target, decision.reason, signal);
  }

  async #giveUp(target: Target, why: string, signal: AbortSignal): Promise<void> {
    const { driver, pipeline, clock, log, registry } = this.#options;
    const { instanceId, spec } = target;
    const program = () => registry.entry(spec.id, instanceId)?.data.incarnation;
    const givenUp = program();
    const reason = `${why}${await lastLine(driver, pipeline, instanceId, why, signal)}`;
    // What is given up must not go on, however often the driver fails at that, unless somebody has started it anew.
    for (let attempt = 1; program() === givenUp && !signal.aborted; attempt++) {
      // First it ends: what the driver starts once more while it is being stopped must not look like a new life.
      const error = await this.#apply(target, { action: "stop", cause: why }, signal);
      if (program() === givenUp && (error === undefined || attempt === 1)) registry.fail(spec.id, instanceId, reason);
      if (error === undefined) break;
      log.error(`cannot stop ${instanceId}`, { instance: instanceId, error: error.message });
      await this.#sleep(clock, backoffDelay(attempt, { initialMs: 1_000, maxMs: 30_000 }));
    }
    this.#handle(target, { type: "acted" });
    if (program() !== givenUp) this.#handle(target, { type: "started", at: clock.now() });
  }

  /** Returns why it could not be done. What is not there (any more) needs nothing. */
  async #apply(
    target: Target,
    { action, cause }: Pick<Change, "cause"> & { readonly action: Action },
    signal: AbortSignal,
  ): Promise<NotDone | undefined> {
    const { key } = target;
    const { driver, pipeline, log } = this.#options;
    let observed: ObservedResource | undefined;
    try {
      observed = (await driver.observe(pipeline, signal)).find((resource) => resource.key === key);
      if (observed === undefined || this.#asked.isDone(action, observed)) return undefined;
      // Somebody may have changed his mind meanwhile.
      if (action !== "stop" && !this.#isToRun(target)) return undefined;
      // What was given up may be started again here, where nobody has the values of its secrets.
      const keepSecrets = this.#isToRun(target);
      const change: Change = { action, observed, cause, ...(action === "stop" && keepSecrets ? { keepSecrets } : {}) };
      await driver.apply(change, {
        pipeline,
        signal,
        progress: (event) => log.debug(`${event.subject}: ${event.text}`),
        force: action === "restart",
      });
      return undefined;
    } catch (error) {
      const why = notDone(error);
      if (why.away && observed !== undefined) this.#asked.unanswered(action, observed);
      return why;
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
    const above = edgesOf(registry.spec).filter(({ to, draining }) => to.id === spec.id && !draining);
    const again = above.find(({ from }) =>
      registry
        .component(from.id)
        .instances.some(({ state, registeredAt }) => state === "healthy" && registeredAt > completed.since),
    );
    return again?.from.id;
  }

  #isWanted(target: Target): boolean {
    const { spec, instanceId } = target;
    const name = this.#entry(target)?.data.state.name;
    return name !== "completed" && name !== "failed" && !this.#options.registry.isToEnd(spec.id, instanceId);
  }

  #howItEnded(target: Target, exitCode: number, oomKilled: boolean): string {
    const entry = this.#entry(target);
    // What it said itself before it ended tells more.
    const said = entry !== undefined && !entry.data.live ? reasonOf(entry.data.state) : "";
    const how =
      exitCode === 0 && !oomKilled
        ? "exited before it had completed"
        : describeExit({ exitCode, oomKilled }, target.spec);
    return said === "" || said.startsWith("exited") ? how : `${how}: ${said}`;
  }

  #stateOf(target: Target, entry: InstanceEntry | undefined): Happening {
    const state = entry?.data.state;
    const mute = this.#muteSince(target, entry);
    if (mute !== undefined) {
      const reason = this.#withFlaw(target, `running since ${new Date(mute).toISOString()} but has not registered`);
      return { type: "state", state: "ill", hung: true, since: mute, reason };
    }
    if (entry === undefined || state === undefined) {
      return { type: "state", state: "other", hung: false, since: this.#options.clock.now(), reason: "" };
    }
    const { vitals } = entry;
    const { unhealthyAfterMs, clock } = this.#options;
    const silent = clock.now() - vitals.heardAt > unhealthyAfterMs;
    const ill = state.name === "unhealthy";
    const hung = ill && silent && vitals.probe.result !== "passing";
    return {
      type: "state",
      state: state.name === "healthy" ? "healthy" : ill ? "ill" : "other",
      hung,
      since: state.since,
      // It was ill first because /health did not answer; that nothing at all is heard of it tells more.
      reason: this.#withFlaw(target, hung && entry.data.live ? silenceOf(unhealthyAfterMs) : reasonOf(state)),
    };
  }

  #withFlaw({ key }: Target, reason: string): string {
    const flaw = this.#flaws.get(key);
    return flaw === undefined ? reason : `${reason}, ${flaw}`;
  }

  /** Since when an instance runs that has not registered, when that is longer ago than it may take. */
  #muteSince(target: Target, entry: InstanceEntry | undefined): number | undefined {
    const watched = this.#watched.get(target.key);
    if (watched?.phase !== "running" || entry?.data.live || (entry?.data.state.name ?? "starting") !== "starting") {
      return undefined;
    }
    const limit = target.spec.startDeadlineMs ?? DEFAULT_START_DEADLINE;
    // A start of which the driver could not tell was asked for, too.
    const since = Math.max(watched.since, entry?.vitals.askedAt ?? 0, entry?.data.state.since ?? 0);
    return this.#options.clock.now() - since > limit ? watched.since : undefined;
  }

  #targets(): readonly Target[] {
    return (this.#options.registry.spec?.components ?? []).flatMap((spec) =>
      [...instanceIdsOf(spec), ...(spec.leavingInstances ?? [])].map((instanceId) => ({
        spec,
        instanceId,
        key: componentKey(instanceId),
      })),
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

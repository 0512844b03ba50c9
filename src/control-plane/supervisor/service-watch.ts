import type { Change, DriverEvent, ObservedResource, ResourceKey } from "../../drivers/driver.ts";
import type { Clock } from "../../foundation/clock.ts";
import type { Logger } from "../../foundation/logger.ts";
import { describeExit } from "../instance.ts";
import type { Registry } from "../registry.ts";
import { AskedAlready, type NotDone, notDone } from "./asked-already.ts";
import { type Action, decide, type Happening, moved, type Watched, watch } from "./policy.ts";
import { lastLine, type SupervisedDriver } from "./supervised-driver.ts";
import { UnderWay, type Work } from "./under-way.ts";

export interface ServiceWatchOptions {
  readonly driver: SupervisedDriver;
  readonly registry: Registry;
  readonly pipeline: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** So long a service may fail its health check before it is restarted, in milliseconds. */
  readonly illForMs: number;
  readonly random: () => number;
  readonly signal: AbortSignal;
}

interface Service {
  readonly observed: ObservedResource;
  readonly watched: Watched;
  readonly health: Health;
  /** Since when. */
  readonly healthSince: number;
  /** What the engine would have told, had it started or ended it since; the same again is no news. */
  readonly seen: number;
  /** How it ended while a command changed the pipeline, where no command ends anything like that. */
  readonly crash?: string | undefined;
}

type Health = "none" | "starting" | "healthy" | "unhealthy";

const ILL = "the health check is failing";

/**
 * Watches the services of a pipeline, which the registry knows nothing of: they keep no contract with flowctl. Those that
 * exit the engine starts again, by their restart policy; those that stay unhealthy are restarted from here, by the same.
 * What is wrong is told to the registry: it makes the pipeline degraded, and failed where nobody is to start it again. What
 * happens while a command changes the pipeline, or when nothing is to run any more, is meant.
 */
export class ServiceWatch {
  readonly #options: ServiceWatchOptions;
  readonly #services = new Map<ResourceKey, Service>();
  readonly #underWay = new UnderWay();
  readonly #asked = new AskedAlready();

  constructor(options: ServiceWatchOptions) {
    this.#options = options;
  }

  /** Takes what there is for what happened unseen. */
  looked(all: readonly ObservedResource[]): void {
    const there = all.filter(({ kind }) => kind === "service");
    for (const observed of there) {
      const { key, state } = observed;
      const known = this.#services.get(key);
      const health = state.status === "running" ? state.health : "none";
      const seen = state.status === "running" ? state.startedAt : state.status === "exited" ? state.finishedAt : 0;
      const now = this.#options.clock.now();
      const watched = known?.watched ?? watch(now);
      const healthSince = known?.health === health ? known.healthSince : now;
      this.#services.set(key, { ...known, observed, watched, health, healthSince, seen });
      if (known === undefined && state.status === "exited") this.#firstSeenEnded(key, state);
      else if (known !== undefined && known.seen !== seen && watched.phase === "running" && state.status === "exited") {
        const { exitCode, oomKilled, finishedAt } = state;
        this.#exited(key, { exitCode, oomKilled, willRestart: false, time: finishedAt });
      } else if (state.status === "running" && known?.watched.phase === "ended") {
        this.#handle(key, { type: "started", at: Math.max(state.startedAt, known.watched.since) });
      }
    }
    const keys = new Set(there.map(({ key }) => key));
    for (const key of this.#services.keys()) if (!keys.has(key)) this.#removed(key);
  }

  /** Returns whether it knows what the event is about, or needs not to. */
  told(event: DriverEvent): boolean {
    const service = this.#services.get(event.key);
    if (service === undefined) return !event.key.startsWith("service/") || event.type === "removed";
    this.#tell(service, event);
    return true;
  }

  #tell(service: Service, event: DriverEvent): void {
    switch (event.type) {
      case "started":
        // Without a health check it never says more.
        this.#services.set(event.key, { ...service, seen: event.time, crash: undefined });
        this.#setHealth(event.key, service.health === "none" ? "none" : "starting");
        this.#handle(event.key, { type: "started", at: event.time });
        return;
      case "exited":
        this.#exited(event.key, event);
        return;
      case "health":
        this.#setHealth(event.key, event.health);
        return;
      case "removed":
        this.#removed(event.key);
        return;
    }
  }

  /** To be called a few times a second. */
  tick(): void {
    for (const [key, { watched, health, healthSince, crash }] of this.#services) {
      const now = this.#options.clock.now();
      // It got well although it was given up: it had not ended.
      if (watched.phase === "failed" && health === "healthy") this.#put(key, watch(now));
      if (!this.#isWanted()) continue;
      if (crash !== undefined) {
        this.#crashed(key, crash, now, false);
        continue;
      }
      const state = health === "unhealthy" ? "ill" : health === "starting" ? "other" : "healthy";
      this.#handle(key, { type: "state", state, hung: false, since: healthSince, reason: ILL });
      this.#judge(key, state);
    }
  }

  moveTimes(ms: number): void {
    for (const [key, service] of this.#services) {
      const { watched, healthSince } = service;
      this.#services.set(key, { ...service, watched: moved(watched, ms), healthSince: healthSince + ms });
    }
  }

  /** Resolves when nothing is being done any more. */
  async settled(): Promise<void> {
    await this.#underWay.settled();
  }

  /** A running service's trouble follows its health; what ended keeps the reason of its end. */
  #judge(key: ResourceKey, state: "ill" | "other" | "healthy"): void {
    const watched = this.#services.get(key)?.watched;
    if (watched?.phase !== "running") return;
    if (state === "ill") this.#trouble(key, "unhealthy", ILL);
    else if (state === "healthy") this.#trouble(key, undefined);
  }

  #exited(
    key: ResourceKey,
    event: Pick<Extract<DriverEvent, { type: "exited" }>, "exitCode" | "oomKilled" | "willRestart" | "time">,
  ): void {
    const service = this.#services.get(key);
    if (service === undefined) return;
    const { exitCode, oomKilled, willRestart, time } = event;
    const how = describeExit({ exitCode, oomKilled }, service.observed.policy);
    this.#services.set(key, { ...service, seen: time });
    this.#event(key, "service.exited", how);
    if ((exitCode !== 0 || oomKilled) && this.#isWanted()) {
      this.#crashed(key, how, time, willRestart);
      return;
    }
    this.#handle(key, { type: "exited", at: time, how, unexpected: false, willRestart });
    const crash = mayBeMeant({ exitCode, oomKilled }) || willRestart ? undefined : how;
    const ended = this.#services.get(key);
    if (ended !== undefined) this.#services.set(key, { ...ended, crash });
  }

  #crashed(key: ResourceKey, how: string, at: number, willRestart: boolean): void {
    const service = this.#services.get(key);
    if (service === undefined) return;
    const { crash: _, ...rest } = service;
    this.#services.set(key, rest);
    if (service.watched.phase === "ended") this.#put(key, watch(0));
    this.#handle(key, { type: "exited", at, how, unexpected: true, willRestart });
    if (this.#services.get(key)?.watched.phase !== "giving-up") this.#trouble(key, "unhealthy", how);
  }

  /** Nobody knows whether an end from before was meant; one by a signal may have been a command's. */
  #firstSeenEnded(key: ResourceKey, state: Extract<ObservedResource["state"], { status: "exited" }>): void {
    const { exitCode, oomKilled, finishedAt } = state;
    if (mayBeMeant(state)) this.#put(key, { phase: "ended", since: finishedAt });
    else this.#exited(key, { exitCode, oomKilled, willRestart: false, time: finishedAt });
  }

  #removed(key: ResourceKey): void {
    if (this.#isWanted()) {
      this.#event(key, "service.removed", "its container was removed");
      this.#trouble(key, "failed", "its container was removed; run `flowctl up` to create it again");
    } else this.#trouble(key, undefined);
    this.#services.delete(key);
  }

  #handle(key: ResourceKey, happening: Happening): void {
    const { clock, illForMs, random } = this.#options;
    const service = this.#services.get(key);
    if (service === undefined) return;
    const maxRestarts = service.observed.policy?.maxRestarts ?? 0;
    const { next, decision } = decide(service.watched, happening, { maxRestarts, illForMs, random }, clock.now());
    this.#put(key, next);
    if (next.phase === "running") this.#asked.over(key);
    if (decision === undefined) return;
    if (decision.type === "withdraw") this.#underWay.withdraw(key);
    else this.#underWay.begin(key, this.#options.signal, (signal) => this.#carryOut(key, decision, signal));
  }

  /** Never rejects: what the driver could not do is told to the policy. */
  async #carryOut(key: ResourceKey, decision: Work, signal: AbortSignal): Promise<void> {
    const id = instanceOf(key);
    const { driver, pipeline } = this.#options;
    const said = await lastLine(
      driver,
      pipeline,
      id,
      decision.type === "give-up" ? decision.reason : decision.cause,
      signal,
    );
    if (decision.type === "give-up") {
      // It is left as it is: whoever looks after it may want to see it.
      this.#trouble(key, "failed", `${decision.reason}${said}`);
      this.#handle(key, { type: "acted" });
      return;
    }
    this.#event(key, "service.supervised", `${decision.action}: ${decision.cause}${said}`);
    const error = await this.#apply(key, decision, signal);
    if (signal.aborted) return;
    if (error === undefined) this.#handle(key, { type: "acted" });
    else {
      this.#options.log.error(`cannot ${decision.action} ${id}`, { instance: id, error: error.message });
      this.#handle(key, { type: "acted", error: error.message, away: error.away });
    }
  }

  /** Returns why it could not be done. */
  async #apply(
    key: ResourceKey,
    { action, cause }: Pick<Change, "cause"> & { readonly action: Action },
    signal: AbortSignal,
  ): Promise<NotDone | undefined> {
    const { driver, pipeline, log } = this.#options;
    let observed: ObservedResource | undefined;
    try {
      observed = (await driver.observe(pipeline, signal)).find((resource) => resource.key === key);
      if (observed === undefined || this.#asked.isDone(action, observed)) return undefined;
      // A command may have begun meanwhile that is to end it.
      if (!this.#isWanted()) return undefined;
      const change: Change = { action, observed, cause };
      const progress = ({ subject, text }: { readonly subject: string; readonly text: string }): void =>
        log.debug(`${subject}: ${text}`);
      await driver.apply(change, { pipeline, signal, progress, force: action === "restart" });
      return undefined;
    } catch (error) {
      const why = notDone(error);
      if (why.away && observed !== undefined) this.#asked.unanswered(action, observed);
      return why;
    }
  }

  /** Something is to run that may need it, and no command is changing that. */
  #isWanted(): boolean {
    const { registry } = this.#options;
    if (registry.operations.current !== undefined) return false;
    return registry
      .entries()
      .some(({ data: { componentId, id, state } }) => state.name !== "completed" && registry.isToRun(componentId, id));
  }

  #setHealth(key: ResourceKey, health: Health): void {
    const service = this.#services.get(key);
    if (service === undefined || service.health === health) return;
    this.#services.set(key, { ...service, health, healthSince: this.#options.clock.now() });
  }

  #put(key: ResourceKey, watched: Watched): void {
    const service = this.#services.get(key);
    if (service !== undefined) this.#services.set(key, { ...service, watched });
  }

  #trouble(key: ResourceKey, state: "unhealthy" | "failed" | undefined, reason = ""): void {
    this.#options.registry.service(instanceOf(key), state === undefined ? undefined : { state, reason });
  }

  #event(key: ResourceKey, type: string, message: string): void {
    const observed = this.#services.get(key)?.observed;
    this.#options.registry.tell({
      type,
      componentId: observed?.owner ?? "",
      instanceId: instanceOf(key),
      message,
    });
  }
}

/** Whether a command may have ended it so: a program that was asked to end, or made to. */
function mayBeMeant({ exitCode, oomKilled }: { readonly exitCode: number; readonly oomKilled: boolean }): boolean {
  return !oomKilled && [0, 137, 143].includes(exitCode);
}

function instanceOf(key: ResourceKey): string {
  return key.slice(key.indexOf("/") + 1);
}

import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { chmod, mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { IssuedCertificate } from "../identity/authority.ts";
import { Impostor } from "./impostor.ts";
import type { LaunchedComponent, ProgramExit } from "./launch.ts";
import type { EventMessage, OnErrorMessage, RegisterMessage, TopologyMessage } from "./messages.ts";
import { PortLease } from "./port-lease.ts";
import type { Protocol } from "./protocol.ts";
import { testPipelinePrefix } from "./stray.ts";
import type { Facts, Subject, Timing } from "./subject.ts";
import { TestControlPlane } from "./test-control-plane.ts";
import { type DownstreamOptions, TestDownstream } from "./test-downstream.ts";
import { type IdentityFiles, TestIdentity } from "./test-identity.ts";
import { type GroupOptions, type TopologyOptions, topologyOf } from "./test-topology.ts";
import { TestUpstream, type UpstreamStream } from "./test-upstream.ts";
import type { ReportViolation } from "./violation.ts";
import { Broken, Notice, NotShown } from "./waiting.ts";

/** Names that the component under test is given. */
export const componentId = "subject";
export const instanceId = "subject-1";

export interface LaunchOptions {
  readonly environment?: Readonly<Record<string, string>>;
  /** Position that the control plane hands back at registration. */
  readonly checkpoint?: Buffer;
  /** Groups below; `below` when left out. A sink has those for dead letters alone. */
  readonly groups?: readonly GroupOptions[];
  readonly onError?: OnErrorMessage;
  /** Nobody answers at the address of the control plane. */
  readonly controlPlaneAway?: boolean;
  /** How many instances the upstream is said to have when all are up; 1 when left out. */
  readonly upstreamInstances?: number;
  /** Say at once that every upstream has completed. */
  readonly upstreamsCompleted?: boolean;
  /** Leave FLOWCTL_COMPONENT_TYPE out. */
  readonly untyped?: boolean;
  /** Leave what it joins with as its last run has left it, as an engine does that starts a program again. */
  readonly keepFiles?: boolean;
  /** Give it the joining certificate and its key in a file each. */
  readonly twoFiles?: boolean;
}

/**
 * What one check works with: a control plane, upstream and downstream instances and one run of the component, all on
 * ports of their own, all gone after `dispose`.
 */
export class Bench {
  readonly facts: Facts;
  readonly protocol: Protocol;
  readonly notice = new Notice();
  /** Another one for each run, so that a component left over from elsewhere is told from the one under test. */
  readonly pipeline = `${testPipelinePrefix}${randomUUID().slice(0, 8)}`;
  readonly controlPlane: TestControlPlane;
  readonly timing: Timing;
  readonly signal: AbortSignal;
  component: LaunchedComponent | undefined;
  /** The instance above, `above-1`; started by `launch` for processors and sinks. */
  above: TestUpstream;
  healthPort = 0;
  listen = "";
  readonly #subject: Subject;
  readonly #violation: ReportViolation;
  readonly #downstreams: TestDownstream[] = [];
  readonly #upstreams: TestUpstream[] = [];
  readonly #leases: PortLease[] = [];
  readonly #impostors: Impostor[] = [];
  readonly #folder = mkdtempSync(join(tmpdir(), "flowctl-conformance-"));
  #lastEvent = 0;

  constructor(subject: Subject, facts: Facts, protocol: Protocol, violation: ReportViolation, signal: AbortSignal) {
    this.#subject = subject;
    this.facts = facts;
    this.protocol = protocol;
    this.timing = subject.timing;
    this.signal = signal;
    this.#violation = violation;
    const { heartbeatMs } = subject.timing;
    this.controlPlane = new TestControlPlane(this.pipeline, protocol, this.notice, { heartbeatMs, violation });
    this.above = this.newUpstream("above-1");
  }

  /**
   * Starts the component and waits until it has registered. In a scene, where an earlier check has started it, that is what
   * it registered with then.
   */
  async launch(options: LaunchOptions = {}): Promise<RegisterMessage> {
    if (this.isRunning) return this.controlPlane.registrations.at(-1)!;
    const before = this.controlPlane.registrations.length;
    await this.launchOnly(options);
    return this.until(() => this.controlPlane.registrations[before], "it has not registered", {
      timeoutMs: this.timing.startMs,
    });
  }

  /** Starts the component, also another time after it has ended, without waiting for anything. */
  async launchOnly(options: LaunchOptions = {}): Promise<LaunchedComponent> {
    const files = await this.#identify(options);
    await this.controlPlane.start();
    this.controlPlane.checkpoint = options.checkpoint;
    if (this.facts.type !== "source") await this.above.start();
    this.controlPlane.announce(
      this.topology(this.facts.type === "source" ? [] : [this.above], {
        ...(options.groups === undefined ? {} : { groups: options.groups }),
        ...(options.onError === undefined ? {} : { onError: options.onError }),
        desired: options.upstreamInstances ?? 1,
        completed: options.upstreamsCompleted ? [this.above] : [],
        allCompleted: options.upstreamsCompleted ?? false,
      }),
    );
    if (options.controlPlaneAway) this.controlPlane.stop();
    const [listen, health] = [await this.#leasePort(), await this.#leasePort()];
    this.listen = `127.0.0.1:${listen}`;
    this.healthPort = health;
    const component = this.#subject.launch(await this.#environment(options, files));
    component.onExit(() => this.notice.changed());
    this.component = component;
    return component;
  }

  /** What the control plane says when the given instances are above. */
  topology(above: readonly TestUpstream[], options: TopologyOptions = {}): TopologyMessage {
    return topologyOf(this.facts.type, above, options);
  }

  newUpstream(instance: string, component = "above"): TestUpstream {
    const identity = () => this.identity;
    const who = { pipeline: this.pipeline, componentId: component, instanceId: instance, identity };
    const upstream = new TestUpstream(who, this.protocol, this.notice, this.#violation);
    this.#upstreams.push(upstream);
    return upstream;
  }

  /** Subscribes at the component. */
  below(options: DownstreamOptions = {}): TestDownstream {
    const { component } = this;
    const downstream = new TestDownstream(
      this.listen,
      { pipeline: this.pipeline, meant: instanceId, ...options },
      {
        protocol: this.protocol,
        notice: this.notice,
        violation: this.#violation,
        identity: this.identity,
        alive: () => component?.exit() === undefined,
      },
    );
    this.#downstreams.push(downstream);
    return downstream;
  }

  /** Reports that a standing obligation is broken. */
  violated(checkId: string, explanation: string): void {
    this.#violation(checkId, explanation);
  }

  /** The component's open subscription at `upstream`, as soon as there is one. */
  subscribed(upstream: TestUpstream = this.above): Promise<UpstreamStream> {
    return this.until(() => upstream.live, `it has not subscribed at ${upstream.instanceId}`);
  }

  /** New events with ids of their own, from the samples that the component makes something of, where there are any. */
  fresh(count: number): EventMessage[] {
    const samples = this.facts.productive.map((sample) => sample.event);
    const from = samples.length > 0 ? samples : this.#subject.samples;
    return Array.from({ length: count }, () => this.#named(from[this.#lastEvent % from.length]!));
  }

  /** New events that the component cannot process. Nothing is shown when none is known. */
  unprocessable(count: number): EventMessage[] {
    const { failing } = this.facts;
    if (failing === undefined) {
      throw new NotShown(
        'no event is known that it cannot process; give one with --events that says so: {"payload": "…", "fails": true}',
      );
    }
    return Array.from({ length: count }, () => this.#named(failing));
  }

  #named(event: EventMessage): EventMessage {
    this.#lastEvent += 1;
    return { ...event, id: `conformance-${this.#lastEvent}` };
  }

  /** How many events the component gives for `events`, by what the first run taught. */
  expectedOutputs(events: readonly EventMessage[]): number {
    const samples = this.facts.productive;
    if (samples.length === 0) return 0;
    return events
      .map((event) => samples.find((sample) => sample.event.payload === event.payload)?.outputs ?? 0)
      .reduce((sum, outputs) => sum + outputs, 0);
  }

  /** Sends the events down the component's subscription, one by one as its credit allows. */
  async feed(events: readonly EventMessage[], upstream: TestUpstream = this.above): Promise<UpstreamStream> {
    const stream = await this.subscribed(upstream);
    for (const event of events) {
      await this.until(() => stream.ended || stream.room > 0, "it gives no credit for another event");
      stream.send([event]);
    }
    return stream;
  }

  /**
   * Makes the component give at least `count` events, to whoever subscribes: a processor is fed, a source gives by
   * itself. Returns what was fed. Nothing is shown when the component gives less.
   */
  async produce(count: number): Promise<readonly EventMessage[]> {
    this.needsOutput(count);
    if (this.facts.type === "source") return [];
    const events = this.fresh(count);
    await this.feed(events);
    return events;
  }

  /** Nothing is shown unless the component is known to give `count` events. */
  needsOutput(count: number): void {
    if (this.facts.type === "processor" && this.facts.productive.length === 0) {
      throw new NotShown(
        "the processor made nothing of the sample events; give it some with --events that it lets through",
      );
    }
    if (this.facts.type === "source" && this.facts.produced < count) {
      throw new NotShown(
        `it takes ${count} events to see, and the source gave ${this.facts.produced} in the first run; configure it to give more, sooner`,
      );
    }
  }

  /** Waits until `downstream` has at least `count` events. */
  async arrived(downstream: TestDownstream, count: number): Promise<void> {
    await this.until(
      () => downstream.events.length >= count || downstream.refused,
      () =>
        `${downstream.events.length} of ${count} events came${downstream.opened ? "" : ", and no Opened"}${lastEndOf(downstream)}${this.#fed()}`,
    );
    if (downstream.events.length < count) {
      throw new Broken(
        `the subscription ended after ${downstream.events.length} of ${count} events: ${describeEnd(downstream.ended)}`,
      );
    }
  }

  /** What went in above, for whoever wonders why nothing comes out below. */
  #fed(): string {
    const streams = this.above.streams.map(
      ({ sent, acked, ended }) => `${sent} sent, ${acked} acknowledged${ended ? ", ended" : ""}`,
    );
    return streams.length === 0 ? "" : ` (above: ${streams.join("; ")})`;
  }

  /**
   * Waits for `condition`; breaks the check with `otherwise` when it stays away, or when the component exits first
   * (unless `mayExit`).
   */
  until<Value>(
    condition: () => Value | undefined | false,
    otherwise: string | (() => string),
    options: { readonly timeoutMs?: number; readonly mayExit?: boolean } = {},
  ): Promise<Value> {
    const timeoutMs = options.timeoutMs ?? this.timing.stepMs;
    const text = () => (typeof otherwise === "string" ? otherwise : otherwise());
    return this.notice.until(
      () => {
        const value = condition();
        if (value !== undefined && value !== false) return value;
        const exit = options.mayExit ? undefined : this.component?.exit();
        if (exit !== undefined) throw new Broken(`${text()}: it exited with ${describeExit(exit)}`);
        return undefined;
      },
      { timeoutMs, signal: this.signal, late: () => new Broken(`${text()} within ${timeoutMs / 1000} s`) },
    );
  }

  /**
   * Waits for as long as nothing may happen and breaks the check as soon as `forbidden` says that it did. `inGrace`: the component has
   * been told to stop, and its grace period goes by meanwhile.
   */
  async quiet(forbidden: () => string | undefined | false, { inGrace = false } = {}): Promise<void> {
    const { quietMs, graceMs } = this.timing;
    let seen: string | undefined | false;
    const happened = await this.happens(
      () => {
        seen = forbidden();
        return Boolean(seen);
      },
      quietMs,
      inGrace ? graceMs / 2 : undefined,
    );
    if (happened) throw new Broken(String(seen));
  }

  /** Whether `condition` comes true within `timeoutMs`. */
  async happens(condition: () => boolean, timeoutMs: number, atMostMs?: number): Promise<boolean> {
    const quiet = new Error("nothing happened");
    try {
      const most = atMostMs === undefined ? {} : { atMostMs };
      return await this.notice.until(condition, { timeoutMs, ...most, signal: this.signal, late: () => quiet });
    } catch (error) {
      if (error === quiet) return false;
      throw error;
    }
  }

  /** Waits until the component has ended. */
  async exited(timeoutMs: number, when: string): Promise<ProgramExit> {
    return this.until(() => this.component?.exit(), `it has not exited ${when}`, { timeoutMs, mayExit: true });
  }

  /** Whether the component was started and has not ended. */
  get isRunning(): boolean {
    return this.component !== undefined && this.component.exit() === undefined;
  }

  /**
   * Between two checks of a scene: nobody is below any more, and what a processor was fed is acknowledged. Returns whether the
   * next check may begin on this run of the component.
   */
  async settle(): Promise<boolean> {
    this.#leaveBelow();
    const stream = this.facts.type === "processor" ? this.above.live : undefined;
    if (stream !== undefined && stream.acked < stream.sent) {
      this.below({ acknowledge: true });
      const settled = () => stream.acked >= stream.sent || stream.ended;
      if (!(await this.happens(settled, this.timing.stepMs)) || stream.ended) return false;
      this.#leaveBelow();
    }
    return this.isRunning;
  }

  #leaveBelow(): void {
    for (const downstream of this.#downstreams.splice(0)) downstream.close();
  }

  async dispose(): Promise<void> {
    this.#leaveBelow();
    await this.component?.kill();
    for (const upstream of this.#upstreams) upstream.stop();
    for (const impostor of this.#impostors) await impostor.stop();
    this.controlPlane.dispose();
    for (const lease of this.#leases) lease.release();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #leasePort(): Promise<number> {
    const lease = await PortLease.take();
    this.#leases.push(lease);
    return lease.port;
  }

  /** Who is who in this run; undefined where everybody speaks in the clear. */
  get identity(): TestIdentity | undefined {
    return this.controlPlane.identity;
  }

  /** The same, for checks that are about it. */
  get requiredIdentity(): TestIdentity {
    if (this.identity === undefined) throw new NotShown("everything speaks in the clear");
    return this.identity;
  }

  /** Makes who is who known, if need be before the first start. */
  async makeIdentity(): Promise<TestIdentity | undefined> {
    if (this.#subject.insecure) return undefined;
    const name = { role: "component", pipeline: this.pipeline, component: componentId, instance: instanceId } as const;
    this.controlPlane.identity ??= await TestIdentity.create(name, this.#violation);
    return this.controlPlane.identity;
  }

  async #identify(options: LaunchOptions): Promise<IdentityFiles | undefined> {
    const identity = await this.makeIdentity();
    if (options.keepFiles) return identity?.files;
    return identity?.begin(join(this.#folder, "identity"), { twoFiles: options.twoFiles ?? false });
  }

  /** Somebody who answers with a certificate that is not that of whom the component means. */
  async impostor(shown: IssuedCertificate, port = 0): Promise<Impostor> {
    const impostor = new Impostor(shown, this.requiredIdentity.ca, this.notice);
    await impostor.start(port);
    this.#impostors.push(impostor);
    return impostor;
  }

  async #environment(options: LaunchOptions, identity: IdentityFiles | undefined): Promise<Record<string, string>> {
    const folders = { state: join(this.#folder, "state"), secrets: join(this.#folder, "secrets") };
    for (const folder of Object.values(folders)) {
      await mkdir(folder, { recursive: true });
      // The component may run as somebody else, in a container.
      await chmod(folder, 0o777);
    }
    await chmod(this.#folder, 0o755);
    return {
      FLOWCTL_CONTROL_PLANE: this.controlPlane.address,
      FLOWCTL_PIPELINE: this.pipeline,
      FLOWCTL_COMPONENT_ID: componentId,
      ...(options.untyped ? {} : { FLOWCTL_COMPONENT_TYPE: this.facts.type }),
      FLOWCTL_INSTANCE_ID: instanceId,
      FLOWCTL_INSTANCE_INDEX: "1",
      FLOWCTL_REPLICAS: "1",
      FLOWCTL_LISTEN: this.listen,
      FLOWCTL_ADVERTISE: this.listen,
      FLOWCTL_HEALTH_PORT: String(this.healthPort),
      FLOWCTL_CONFIG: this.#subject.config,
      FLOWCTL_STATE_DIR: folders.state,
      FLOWCTL_SECRETS_DIR: folders.secrets,
      ...(identity === undefined
        ? {}
        : { FLOWCTL_TLS_CA: identity.ca, FLOWCTL_TLS_CERT: identity.certificate, FLOWCTL_TLS_KEY: identity.key }),
      FLOWCTL_LOG_LEVEL: "info",
      FLOWCTL_STOP_GRACE_MS: String(this.timing.graceMs),
      ...options.environment,
    };
  }
}

/** How a program ended, in words. */
export function describeExit(exit: ProgramExit): string {
  return exit.signal === null ? `code ${exit.code}` : `signal ${exit.signal}`;
}

function describeEnd(end: TestDownstream["ended"]): string {
  return end === undefined ? "still open" : `status ${end.code} ${end.details}`;
}

function lastEndOf({ lastEnd }: TestDownstream): string {
  return lastEnd === undefined ? "" : `, and the stream ended with ${describeEnd(lastEnd)}`;
}

import { randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import type { Registered } from "../client/client.ts";
import { connectRegistry } from "../client/registry-client.ts";
import type { Clock } from "../foundation/clock.ts";
import { withDeadline } from "../foundation/deadline.ts";
import { FlowctlError } from "../foundation/errors.ts";
import { linkedSignal } from "../foundation/linked-signal.ts";
import type { Logger } from "../foundation/logger.ts";
import type { IdentitySource } from "../identity/tls-identity.ts";
import { noMetrics } from "../protocol/component-codec.ts";
import { everyFeature } from "../protocol/features.ts";
import type { OnErrorSpec, Topology } from "../protocol/records.ts";
import { SlabPool } from "../protocol/slab-pool.ts";
import { Inlet } from "../streams/receiving/inlet.ts";
import { type EventStreamServer, serveEventStream } from "../streams/sending/event-stream-server.ts";
import { Outlet } from "../streams/sending/outlet.ts";
import { AssignmentFeed } from "./assignment-feed.ts";
import type { ComponentDefinition } from "./component.ts";
import { Counters } from "./counters.ts";
import { EdgeNews } from "./edge-news.ts";
import type { Environment } from "./environment.ts";
import { serveHealth } from "./health-server.ts";
import { Membership } from "./membership.ts";
import { OutputEncoder } from "./output.ts";
import { runProcessor } from "./run-processor.ts";
import { runSink } from "./run-sink.ts";
import { partitionsOf, runSource } from "./run-source.ts";
import { aborted, type Outcome, type Runtime } from "./runtime.ts";
import { Session } from "./session.ts";

export interface RunComponentOptions {
  readonly environment: Environment;
  /** `with`, checked by the component's schema. */
  readonly config: unknown;
  readonly clock: Clock;
  readonly log: Logger;
  /** Fires when the component is to stop gracefully. */
  readonly stop: AbortSignal;
  readonly secret: (name: string) => Promise<string>;
  /** An identity that is there already, in the place of one that is joined with; see `Environment.identity`. */
  readonly identity?: IdentitySource;
}

const SAMPLE_MS = 250;
/** Of the grace period, what is kept back for deregistering and closing. */
const DEREGISTER_RESERVE_MS = 1_500;

/**
 * The life of a component, from its first registration to its deregistration. Resolves when it completed or was stopped;
 * rejects with what made it fail. Does not exit the process, and leaves no server or timer behind.
 */
export async function runComponent(component: ComponentDefinition, options: RunComponentOptions): Promise<Outcome> {
  const { environment, clock, log } = options;
  const { instance } = environment;
  if (environment.type !== undefined && environment.type !== component.type)
    throw wrongType(component.type, environment);

  const { pipeline, componentId, instanceId } = instance;
  const who = { pipeline, componentId, instanceId };
  const failed = new AbortController();
  const leaving = new AbortController();
  const halted = AbortSignal.any([options.stop, failed.signal]);
  const stopping = AbortSignal.any([halted, leaving.signal]);
  const deadline = deadlineAfter(halted, environment.stopGraceMs);
  const over = new AbortController();
  /** Nothing is said to anybody any more: until then the instance needs a certificate. */
  const silent = new AbortController();
  const refused = new AbortController();
  let failure: { readonly error: unknown } | undefined;
  const fail = (error: unknown): void => {
    failure ??= { error };
    failed.abort();
  };

  let isReady = false;
  let degraded = "";
  let counters: Counters | undefined;
  // Before it joins, which can take as long as the control plane is away: meanwhile the program lives, and is not ready.
  const health = await serveHealth(environment.healthHost, environment.healthPort, {
    instance,
    ready: () => isReady,
    degradedReason: () => degraded,
    metrics: () => counters?.metrics() ?? noMetrics,
  });
  const joining = environment.identity === undefined ? undefined : joinAtStart(options, halted);
  const membership = await joining?.catch((error: unknown) => {
    health.close();
    throw error;
  });
  if (membership === "stopped") {
    health.close();
    return "stopped";
  }
  const identity = membership?.identity ?? options.identity;
  const memory = new SlabPool();
  const publisher = new Outlet({ folder: environment.stateDirectory, onFailure: fail, memory });
  const inlet =
    component.type === "source"
      ? undefined
      : new Inlet({
          who: { ...who, identity },
          log,
        });
  const counted = new Counters(publisher, inlet);
  counters = counted;
  let onError: OnErrorSpec = { action: "fail", to: "", retries: 0, backoffMs: 0 };
  let hasFailed = false;
  const assignments = new AssignmentFeed();
  let session: Session | undefined;
  const news = new EdgeNews(publisher, () => session?.heartbeatNow());
  const onTopology = (topology: Topology): void => {
    onError = topology.onError;
    publisher.setInFlightAllowance(topology.inFlightAllowance);
    inlet?.setInFlightAllowance(topology.inFlightAllowance);
    publisher.setGroups(topology.downstreams);
    news.changed();
    inlet?.update(topology.upstreams);
    assignments.tell(topology);
    if (topology.leaving && !stopping.aborted) {
      log.info("removed from the pipeline: draining, then stopping");
      leaving.abort();
    }
    if (topology.downstreams.length > 0) openForDeadLetters();
  };
  /** A sink listens from the moment when somebody wants its dead letters. */
  let openForDeadLetters = (): void => undefined;

  const registry = connectRegistry(
    environment.controlPlane,
    { ...who, type: component.type, incarnation: randomUUID() },
    identity,
  );
  let renewed: Promise<void> | undefined;
  let server: EventStreamServer | undefined;
  let listening: Promise<unknown> | undefined;
  const listen = async (): Promise<string> => {
    server = await serveEventStream({ ...instance, listen: environment.listen, publisher, log, identity, clock });
    return environment.advertise ?? `127.0.0.1:${server.port}`;
  };
  void aborted(stopping).then(() => {
    publisher.disableBackpressure();
    inlet?.stop();
  });
  const sampler = setInterval(() => {
    counted.sample();
    news.look();
  }, SAMPLE_MS);
  sampler.unref();

  try {
    renewed = membership?.keep(registry, silent.signal).catch((error: unknown) => {
      fail(error);
      refused.abort(error);
    });
    await mkdir(environment.stateDirectory, { recursive: true });
    const { definition } = component;
    const standing = new Session({
      registry,
      clock,
      log,
      onTopology,
      metrics: () => counted.metrics(true),
      degradedReason: () => degraded,
      drainedGroups: () => publisher.drainedGroups(),
      settledMarks: () => publisher.settledMarks(),
      heardMark: () => publisher.heardMark,
      registration: {
        address: component.type === "sink" ? "" : await listen(),
        healthEndpoint: `${hostOf(environment.advertise) ?? "127.0.0.1"}:${health.port}`,
        metadata: { name: definition.name, version: definition.version, sdk: "flowctl-node" },
        consumes: definition.consumes ?? [],
        produces: definition.produces ?? [],
        features: everyFeature,
        ...(component.type === "source"
          ? { partitions: await partitionsOf(component.definition, options.config) }
          : {}),
      },
      held: () => assignments.held(),
      isChanging: () => membership?.isChanging === true,
    });
    session = standing;
    let registered: Registered;
    try {
      registered = await standing.register(stopping);
      if (component.type === "sink" && registered.topology.downstreams.length > 0) {
        standing.amend({ address: await listen() });
        registered = await standing.register(stopping);
      } else if (component.type === "sink") {
        openForDeadLetters = () => {
          listening ??= listen().then(async (address) => {
            standing.amend({ address });
            await standing.register(stopping);
          });
          listening.catch((error: unknown) => {
            if (!stopping.aborted) fail(error);
          });
        };
      }
    } catch (error) {
      if (options.stop.aborted) return "stopped";
      throw failure === undefined ? error : failure.error;
    }
    onTopology(registered.topology);
    const kept = standing.keep(over.signal).catch(fail);
    // No registration of its own may overtake its deregistration.
    const deregister: Session["deregister"] = async (...word) => {
      over.abort();
      await kept;
      await standing.deregister(...word);
    };

    const runtime: Runtime = {
      clock,
      log,
      registry,
      registered,
      publisher,
      inlet,
      encoder: new OutputEncoder(instance.componentId, memory),
      counters: counted,
      onError: () => onError,
      stopping,
      halted,
      deadline,
      fail,
      started: () => {
        isReady = true;
        log.info("started", { component: definition.name, version: definition.version });
      },
      context: {
        config: options.config,
        log,
        signal: stopping,
        instance,
        secret: options.secret,
        stateDirectory: environment.stateDirectory,
        degraded: (reason) => {
          degraded = reason;
        },
      },
    };
    let outcome: Outcome;
    try {
      outcome = await runByType(component, runtime, assignments);
      if (failure !== undefined) throw failure.error;
    } catch (error) {
      hasFailed = true;
      const cause = failure === undefined ? error : failure.error;
      await deregister("failed", String(cause instanceof Error ? cause.message : cause), AbortSignal.timeout(1_000));
      throw cause;
    }
    isReady = false;
    if (outcome === "completed") await server?.close(withDeadline(deadline, 10_000));
    const reserve = outcome === "completed" ? deadline : AbortSignal.timeout(DEREGISTER_RESERVE_MS);
    const limit = linkedSignal(reserve, refused.signal);
    await deregister(outcome, "", limit.signal).finally(() => limit.release());
    silent.abort();
    // Nobody has heard that it has completed, and nobody will.
    if (outcome === "completed") refused.signal.throwIfAborted();
    return outcome;
  } finally {
    over.abort();
    silent.abort();
    clearInterval(sampler);
    news.close();
    health.close();
    await inlet?.close(AbortSignal.abort());
    await publisher.close();
    await listening?.catch(() => undefined);
    await server?.close(AbortSignal.abort(), hasFailed ? "failed" : "stopping");
    await renewed;
    registry.close();
  }
}

/** Joins the pipeline. Being stopped meanwhile is no failure. */
async function joinAtStart(
  { environment, clock, log }: RunComponentOptions,
  signal: AbortSignal,
): Promise<Membership | "stopped"> {
  try {
    return await Membership.join({ environment, clock, log }, signal);
  } catch (error) {
    if (signal.aborted) return "stopped";
    throw error;
  }
}

async function runByType(
  component: ComponentDefinition,
  runtime: Runtime,
  assignments: AssignmentFeed,
): Promise<Outcome> {
  switch (component.type) {
    case "source":
      return await runSource(component.definition, runtime, assignments);
    case "processor":
      return await runProcessor(component.definition, runtime);
    case "sink":
      return await runSink(component.definition, runtime);
  }
}

/** Fires `graceMs`, less what is kept back, after `halted` has fired; never when it never does. */
function deadlineAfter(halted: AbortSignal, graceMs: number): AbortSignal {
  const controller = new AbortController();
  void aborted(halted).then(() => {
    const timer = setTimeout(() => controller.abort(), Math.max(graceMs / 2, graceMs - DEREGISTER_RESERVE_MS));
    timer.unref();
  });
  return controller.signal;
}

function hostOf(address: string | undefined): string | undefined {
  return address?.slice(0, address.lastIndexOf(":"));
}

function wrongType(type: string, environment: Environment): FlowctlError {
  return new FlowctlError({
    code: "sdk/wrong-type",
    kind: "invalid",
    message: `${environment.instance.componentId} is declared as a ${environment.type}, but this program is a ${type}`,
    fix: `move it to the ${type}s of the pipeline file`,
  });
}

import type { Driver, ObservedResource } from "../drivers/driver.ts";
import type { FlowctlError } from "../foundation/errors.ts";
import type { InstanceMetrics, InstanceRecord, PipelineRecord } from "../protocol/records.ts";
import { ControlPlaneAccess } from "./control-plane-access.ts";
import type { CliDependencies } from "./dependencies.ts";

/** One instance as the driver and the control plane see it together. Plain data. */
export interface InstanceView {
  readonly pipeline: string;
  readonly driver: string;
  readonly instance: string;
  readonly component: string;
  /** `source`, `processor`, `sink`, `service`, `control-plane`, or `component` while the control plane does not say. */
  readonly type: string;
  /** What the control plane says where it has something to say, else what the driver sees. */
  readonly state: string;
  readonly reason: string;
  readonly restarts: number;
  readonly metrics: InstanceMetrics | undefined;
  /** Milliseconds since it was started; undefined when it does not run. */
  readonly uptimeMs: number | undefined;
  readonly exitCode: number | undefined;
  readonly ports: readonly string[];
  readonly name: string;
  readonly image: string | undefined;
  readonly ref: string;
}

export interface Instances {
  readonly instances: readonly InstanceView[];
  readonly record: PipelineRecord | undefined;
  /** Says that the control plane is there and does not answer, so that the states are the driver's; when it is so. */
  readonly hanging: FlowctlError | undefined;
}

/** All instances of a pipeline, the control plane last. Works without a control plane; states are then the driver's. */
export async function viewInstances(
  deps: Pick<CliDependencies, "connect" | "clock">,
  driver: Driver,
  pipeline: string,
  signal: AbortSignal,
): Promise<Instances> {
  const observed = await driver.observe(pipeline, signal);
  const access = new ControlPlaneAccess(deps, driver, pipeline);
  try {
    const hasControlPlane = observed.some(({ kind, state }) => kind === "control-plane" && state.status === "running");
    const record = hasControlPlane ? await access.record(signal) : undefined;
    const order = new Map(record?.components.map(({ id }, i) => [id, i]));
    const rank = ({ kind, owner }: ObservedResource): number =>
      kind === "component" ? (order.get(owner) ?? 1000) : kind === "service" ? 2000 : 3000;
    const instances = observed
      .filter(({ kind }) => kind === "component" || kind === "service" || kind === "control-plane")
      .sort((a, b) => rank(a) - rank(b) || (a.owner < b.owner ? -1 : a.owner > b.owner ? 1 : a.index - b.index))
      .map((resource) => viewOf(resource, record, { pipeline, driver: driver.name, now: deps.clock.now() }));
    return { instances, record, hanging: access.hanging };
  } finally {
    access.close();
  }
}

function viewOf(
  resource: ObservedResource,
  record: PipelineRecord | undefined,
  about: { readonly pipeline: string; readonly driver: string; readonly now: number },
): InstanceView {
  const { kind, owner, index, state, ports, name, image, ref } = resource;
  const instance = kind === "control-plane" ? "control-plane" : `${owner}-${index}`;
  const component = kind === "component" ? record?.components.find(({ id }) => id === owner) : undefined;
  const known = component?.instances.find(({ id }) => id === instance);
  return {
    pipeline: about.pipeline,
    driver: about.driver,
    instance,
    component: owner,
    type: component?.type ?? kind,
    // A control plane that has just answered is well, whatever the engine has not found out yet.
    state:
      kind === "control-plane" && record !== undefined ? "healthy" : stateOf(resource, known, record !== undefined),
    reason: known?.reason ?? "",
    restarts: Math.max(known?.restarts ?? 0, "restarts" in state ? state.restarts : 0),
    metrics: known?.totals,
    uptimeMs: state.status === "running" && state.startedAt > 0 ? Math.max(0, about.now - state.startedAt) : undefined,
    exitCode: state.status === "exited" || state.status === "restarting" ? state.exitCode : undefined,
    ports,
    name,
    image,
    ref,
  };
}

/** Exit code of what ended while nobody watched it who could know its own. */
const UNKNOWN = -1;

/**
 * The control plane knows how a running or completed instance is; that it does not run, the driver knows. What runs and is not registered
 * starts, as long as there is anybody to register with.
 */
function stateOf({ state, kind }: ObservedResource, known: InstanceRecord | undefined, isAsked: boolean): string {
  switch (state.status) {
    case "running":
      if (known !== undefined && known.state !== "completed" && known.state !== "failed") return known.state;
      if (state.health === "none") return kind === "component" && isAsked ? "starting" : "running";
      return state.health;
    case "exited":
      if (known?.state === "completed" || known?.state === "failed") return known.state;
      if (state.oomKilled) return "out of memory";
      if (state.exitCode === UNKNOWN && known?.desiredStopped === true) return "stopped";
      return state.exitCode === 0 ? "stopped" : `exited (${state.exitCode})`;
    default:
      return state.status;
  }
}

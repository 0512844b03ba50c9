import type { ObservedResource, ObservedState, ResourceKind } from "../driver.ts";
import { IS_THERE } from "../identity.ts";
import { CONTROL_PLANE_GRPC_PORT, CONTROL_PLANE_HTTP_PORT } from "./container/container-spec.ts";
import { type ContainerDetail, inspectContainer, listContainers } from "./container/containers.ts";
import { ENGINE_ACCESS_SOCKET } from "./container/engine-access-container.ts";
import { hasSecretsRemoved } from "./container/secrets.ts";
import type { Engine } from "./engine/engine.ts";
import { LABEL, readLabels } from "./resources/labels.ts";
import { listNetworks } from "./resources/networks.ts";
import { listVolumes } from "./resources/volumes.ts";

/** Everything of a pipeline that the engine has, whatever state it is in. */
export async function observePipeline(
  engine: Engine,
  pipeline: string,
  signal: AbortSignal,
): Promise<readonly ObservedResource[]> {
  const [details, networks, volumes] = await Promise.all([
    inspectAll(engine, pipeline, signal),
    listNetworks(engine, signal),
    listVolumes(engine, pipeline, signal),
  ]);
  const networkIds = new Map(networks.map(({ Name, Id }) => [Name, Id]));
  const observed: ObservedResource[] = [];
  for (const { Id, Name, Labels, Created } of networks) {
    const labels = readLabels(Labels);
    if (labels?.pipeline !== pipeline) continue;
    const state: ObservedState = { ...IS_THERE, startedAt: milliseconds(Created) };
    observed.push({ ...identity(labels), state, ref: Id, name: Name, ports: [] });
  }
  for (const { Name, Labels, ...volume } of volumes) {
    const labels = readLabels(Labels);
    if (labels === undefined) continue;
    const state: ObservedState = { ...IS_THERE, startedAt: milliseconds((volume as { CreatedAt?: string }).CreatedAt) };
    observed.push({ ...identity(labels), state, ref: Name, name: Name, ports: [] });
  }
  for (const detail of details) {
    const container = observedContainer(detail, networkIds);
    if (container) observed.push({ ...container, ...(await secretsOf(engine, detail, signal)) });
  }
  return observed;
}

/** The containers of a pipeline alone, without whether they have their secrets. */
export async function observeContainers(
  engine: Engine,
  pipeline: string,
  signal: AbortSignal,
): Promise<readonly ObservedResource[]> {
  const [details, networks] = await Promise.all([inspectAll(engine, pipeline, signal), listNetworks(engine, signal)]);
  const networkIds = new Map(networks.map(({ Name, Id }) => [Name, Id]));
  return details.flatMap((detail) => observedContainer(detail, networkIds) ?? []);
}

/** A container that went between the list and the look is not there. */
async function inspectAll(engine: Engine, pipeline: string, signal: AbortSignal): Promise<readonly ContainerDetail[]> {
  const containers = await listContainers(engine, pipeline, signal);
  const details = await Promise.all(containers.map(({ Id }) => inspectContainer(engine, Id, signal)));
  // The engine was asked for those of the pipeline; nothing rests on its having listened.
  return details.flatMap((detail) =>
    detail !== undefined && readLabels(detail.Config.Labels)?.pipeline === pipeline ? [detail] : [],
  );
}

/** Whether what does not run has its secrets. */
async function secretsOf(
  engine: Engine,
  { Id, Config, State }: ContainerDetail,
  signal: AbortSignal,
): Promise<Pick<ObservedResource, "secrets">> {
  const paths = readLabels(Config.Labels)?.secrets ?? [];
  if (paths.length === 0 || State.Running || State.Restarting) return {};
  return { secrets: (await hasSecretsRemoved(engine, Id, paths, signal)) ? "removed" : "present" };
}

/**
 * A container as the planner sees it; undefined when flowctl did not make it. `networkIds` are those of all networks
 * that exist, by name.
 */
export function observedContainer(
  detail: ContainerDetail,
  networkIds: ReadonlyMap<string, string>,
): ObservedResource | undefined {
  const labels = readLabels(detail.Config.Labels);
  if (labels === undefined) return undefined;
  const state = containerState(detail);
  const missing = labels.networks.filter((name) => !isAttached(detail, name, networkIds));
  const whole = state.status !== "created" && missing.length === 0;
  return {
    ...identity(labels),
    // What was never started may lack files, and what lost a network is not what was asked for.
    ...(whole ? {} : { hash: "", parts: {} }),
    state,
    ref: detail.Id,
    name: detail.Name.replace(/^\//, ""),
    image: detail.Config.Labels[LABEL.image] ?? detail.Config.Image,
    ports: publishedPorts(detail, labels.kind),
    ...(labels.kind === "service" ? { policy: policyOf(detail) } : {}),
    ...(labels.kind === "control-plane" && hasEngineAccess(detail) ? { needsEngineAccess: true } : {}),
    ...(state.status === "running" && missing.length > 0
      ? { flaw: `disconnected from the network ${missing.join(" and ")}` }
      : {}),
  };
}

/** Whether it was made to reach the engine through the engine access. */
function hasEngineAccess({ Config }: ContainerDetail): boolean {
  return Config.Env.includes(`FLOWCTL_ENGINE_ACCESS=${ENGINE_ACCESS_SOCKET}`);
}

function policyOf({ HostConfig }: ContainerDetail): NonNullable<ObservedResource["policy"]> {
  const { Name = "no", MaximumRetryCount = 0 } = HostConfig.RestartPolicy ?? {};
  const never = Name === "" || Name === "no";
  const limited = Name === "on-failure" && MaximumRetryCount > 0;
  const maxRestarts = never ? 0 : limited ? MaximumRetryCount : Number.POSITIVE_INFINITY;
  const memory = HostConfig.Memory ?? 0;
  return { maxRestarts, ...(memory > 0 ? { memoryLimitBytes: memory } : {}) };
}

function identity(
  labels: NonNullable<ReturnType<typeof readLabels>>,
): Omit<ObservedResource, "state" | "ref" | "name" | "ports"> {
  const { key, kind, owner, index, hash, parts, folder } = labels;
  return { key, kind, owner, index, hash, parts, ...(folder === undefined ? {} : { folder }) };
}

/** State of a container in the driver's terms. */
export function containerState(detail: ContainerDetail): ObservedState {
  const { State, RestartCount } = detail;
  if (State.Restarting) return { status: "restarting", exitCode: State.ExitCode, restarts: RestartCount };
  if (State.Paused) return { status: "paused" };
  if (State.Running) {
    return {
      status: "running",
      startedAt: milliseconds(State.StartedAt),
      health: health(State.Health?.Status),
      restarts: RestartCount,
    };
  }
  if (milliseconds(State.StartedAt) <= 0) return { status: "created" };
  return {
    status: "exited",
    exitCode: State.ExitCode,
    oomKilled: State.OOMKilled,
    finishedAt: milliseconds(State.FinishedAt),
    restarts: RestartCount,
  };
}

function health(status: string | undefined): "none" | "starting" | "healthy" | "unhealthy" {
  return status === "starting" || status === "healthy" || status === "unhealthy" ? status : "none";
}

/** A stopped container keeps the id of its network, also when that was removed or made anew: then it cannot start. */
function isAttached(detail: ContainerDetail, network: string, networkIds: ReadonlyMap<string, string>): boolean {
  const id = detail.NetworkSettings.Networks?.[network]?.NetworkID;
  return id !== undefined && id === networkIds.get(network);
}

function publishedPorts(detail: ContainerDetail, kind: ResourceKind): string[] {
  const nameOf = (target: string): string => (kind === "control-plane" ? OWN_PORTS[target] : undefined) ?? target;
  return Object.entries(detail.NetworkSettings.Ports ?? {}).flatMap(([target, bindings]) =>
    (bindings ?? []).map(
      ({ HostIp, HostPort }) => `${HostIp.includes(":") ? `[${HostIp}]` : HostIp}:${HostPort}->${nameOf(target)}`,
    ),
  );
}

/** What the control plane serves where, by the names that the process driver has for them, too. */
const OWN_PORTS: Readonly<Record<string, string>> = {
  [`${CONTROL_PLANE_GRPC_PORT}/tcp`]: "grpc",
  [`${CONTROL_PLANE_HTTP_PORT}/tcp`]: "http",
};

/** Unix milliseconds of an RFC 3339 time; 0 when there is none. The engine's zero time is long before 1970. */
function milliseconds(time: string | undefined): number {
  return Math.max(0, Date.parse(time ?? "") || 0);
}

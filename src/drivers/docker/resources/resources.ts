import { createHash, createHmac } from "node:crypto";
import type { Component, Pipeline, Service } from "../../../pipeline/pipeline.ts";
import { dependencies } from "../../dependencies.ts";
import type { Deployment, DesiredResource, Prerequisite, ResourceKey } from "../../driver.ts";
import { fingerprint } from "../../fingerprint.ts";
import {
  CONTROL_PLANE,
  ENGINE_ACCESS,
  type InstanceIdentity,
  instanceId,
  instanceIdentity,
  instancesOf,
} from "../../identity.ts";
import type { ResourceSpec } from "../apply.ts";
import { componentContainer } from "../container/component-container.ts";
import { unnamedVolumeName, unnamedVolumes } from "../container/container-settings.ts";
import type { ContainerSpec, ImageFacts, SpecContext } from "../container/container-spec.ts";
import { controlPlaneContainer, controlPlaneVolume } from "../container/control-plane-container.ts";
import { type EngineSocket, engineAccessContainer, engineAccessVolume } from "../container/engine-access-container.ts";
import type { HostAccess } from "../container/host-user.ts";
import { serviceContainer } from "../container/service-container.ts";
import { networkName, stateVolumeName, volumeName } from "./names.ts";

/** What `prepare` found out about the world before the resources are worked out. */
export interface PreparedFacts {
  readonly flowctlImage: ImageFacts;
  /** By component or service id. */
  readonly images: ReadonlyMap<string, ImageFacts>;
  /** By component id. */
  readonly hosts: ReadonlyMap<string, HostAccess>;
  readonly socket?: EngineSocket;
  /** Of what stands in a hash for the value of a secret; see `HashKeys`. */
  readonly hashKey: Uint8Array;
  /** Id of the pipeline's authority: who trusts another one is of no use. */
  readonly authority: string;
}

/** Works out every resource of a deployment. Pure: the same input gives the same resources and hashes. */
export function desiredResources(deployment: Deployment, facts: PreparedFacts): readonly DesiredResource[] {
  const { pipeline } = deployment;
  const context: SpecContext = deployment;
  const networks = networkResources(pipeline);
  const macs = secretMacs(deployment, facts.hashKey);
  const keyed = keyedBy(facts.hashKey);
  const containers = [
    ...engineAccessResources(context, facts),
    controlPlaneResource(context, facts),
    ...pipeline.services.map((service) => keyed(serviceResource(context, service, facts, macs))),
    ...pipeline.components.flatMap((component) =>
      instancesOf(component).map((instance) => keyed(componentResource(context, component, instance, facts, macs))),
    ),
  ];
  return [...networks, ...volumeResources(pipeline, facts), ...containers];
}

function networkResources(pipeline: Pipeline): DesiredResource[] {
  const keys = new Set(["default", ...Object.keys(pipeline.networks)]);
  return [...keys]
    .filter((key) => pipeline.networks[key]?.external !== true)
    .map((key) => {
      const network = pipeline.networks[key];
      const settings = {
        name: networkName(pipeline, key),
        ...(network?.driver === undefined ? {} : { driver: network.driver }),
        driverOpts: network?.driverOpts ?? {},
        internal: network?.internal ?? false,
        labels: network?.labels ?? {},
      };
      return plain("network", key, { resource: "network", ...settings }, settings);
    });
}

function volumeResources(pipeline: Pipeline, facts: PreparedFacts): DesiredResource[] {
  const own = (key: string, name: string): DesiredResource =>
    plain("volume", key, { resource: "volume", name, driverOpts: {}, labels: {} }, { name });
  const named = Object.entries(pipeline.volumes)
    .filter(([, volume]) => !volume.external)
    .map(([key, { driver, driverOpts, labels }]) => {
      const settings = { name: volumeName(pipeline, key), ...(driver === undefined ? {} : { driver }), driverOpts };
      return plain("volume", key, { resource: "volume", ...settings, labels }, settings);
    });
  const perInstance = instances(pipeline).flatMap(({ owner, instance, state }) => [
    ...(state ? [own(stateVolumeKey(instance), stateVolumeName(pipeline.name, instance))] : []),
    ...unnamed(pipeline, owner, instance, facts).map(({ key, name }) => own(key, name)),
  ]);
  return [
    own("flowctl_control-plane", controlPlaneVolume(pipeline.name)),
    ...(facts.socket === undefined ? [] : [own(ENGINE_ACCESS_VOLUME, engineAccessVolume(pipeline.name))]),
    ...named,
    ...perInstance,
  ];
}

function plain(
  kind: "network" | "volume",
  key: string,
  spec: ResourceSpec,
  settings: Readonly<Record<string, unknown>>,
): DesiredResource {
  return { key: `${kind}/${key}`, kind, owner: key, index: 0, ...fingerprint({ settings }), after: [], spec };
}

interface Instance {
  readonly owner: Component | Service;
  readonly instance: string;
  readonly state: boolean;
}

function instances(pipeline: Pipeline): Instance[] {
  return [
    ...pipeline.services.map((owner) => ({ owner, instance: instanceId(owner.id, 1), state: false })),
    ...pipeline.components.flatMap((owner) =>
      instancesOf(owner).map(({ index }) => ({ owner, instance: instanceId(owner.id, index), state: true })),
    ),
  ];
}

function stateVolumeKey(instance: string): string {
  return `flowctl_state_${instance}`;
}

function unnamed(
  pipeline: Pipeline,
  owner: Component | Service,
  instance: string,
  facts: PreparedFacts,
): { readonly key: string; readonly name: string }[] {
  return unnamedVolumes(owner, imageOf(owner, facts)).map((path) => {
    const name = unnamedVolumeName(pipeline.name, instance, path);
    return { key: name.replace(`flowctl_${pipeline.name}_`, "flowctl_"), name };
  });
}

function imageOf(owner: Component | Service, facts: PreparedFacts): ImageFacts {
  return facts.images.get(owner.id) ?? facts.flowctlImage;
}

/** Key of the volume that the engine access shares with the control plane. */
const ENGINE_ACCESS_VOLUME = "flowctl_engine-access";

/** None where there is no socket of the engine to be mounted. */
function engineAccessResources(
  context: SpecContext,
  { socket, flowctlImage }: PreparedFacts,
): readonly DesiredResource[] {
  if (socket === undefined) return [];
  const spec = engineAccessContainer(context, flowctlImage, socket);
  const after = [exists(`volume/${ENGINE_ACCESS_VOLUME}`)];
  return [{ ...ENGINE_ACCESS, ...fingerprint(partsOf(spec)), after, spec }];
}

function controlPlaneResource(context: SpecContext, facts: PreparedFacts): DesiredResource {
  const supervises = facts.socket !== undefined;
  const spec = controlPlaneContainer(context, facts.flowctlImage, supervises);
  return {
    ...CONTROL_PLANE,
    ...fingerprint({ ...partsOf(spec), identity: facts.authority }),
    after: [
      exists("network/default"),
      exists("volume/flowctl_control-plane"),
      ...(supervises ? [exists(`volume/${ENGINE_ACCESS_VOLUME}`)] : []),
    ],
    spec,
  };
}

function serviceResource(
  context: SpecContext,
  service: Service,
  facts: PreparedFacts,
  macs: ReadonlyMap<string, string>,
): DesiredResource {
  const spec = serviceContainer(context, service, imageOf(service, facts));
  const instance = instanceId(service.id, 1);
  return {
    ...instanceIdentity("service", service.id, 1),
    ...fingerprint({ ...partsOf(spec), ...grantParts(spec, macs), networks: networkParts(context.pipeline, spec) }),
    image: spec.body.Image,
    ...hostPortsOf(spec),
    after: prerequisites(context.pipeline, service, instance, facts),
    spec,
  };
}

function componentResource(
  context: SpecContext,
  component: Component,
  identity: InstanceIdentity,
  facts: PreparedFacts,
  macs: ReadonlyMap<string, string>,
): DesiredResource {
  const { index } = identity;
  const instance = instanceId(component.id, index);
  const host = facts.hosts.get(component.id) ?? { folders: [], files: [] };
  const { authority } = facts;
  const spec = { ...componentContainer(context, component, index, imageOf(component, facts), host), authority };
  return {
    ...identity,
    ...fingerprint({
      ...componentParts(component, spec),
      identity: authority,
      ...grantParts(spec, macs),
      networks: networkParts(context.pipeline, spec),
    }),
    ...(component.uses === undefined ? { image: spec.body.Image } : {}),
    ...hostPortsOf(spec),
    after: [
      { key: CONTROL_PLANE.key, condition: "started" },
      exists(`volume/${stateVolumeKey(instance)}`),
      ...prerequisites(context.pipeline, component, instance, facts),
    ],
    spec,
  };
}

function prerequisites(
  pipeline: Pipeline,
  owner: Component | Service,
  instance: string,
  facts: PreparedFacts,
): Prerequisite[] {
  const networks = ["default", ...owner.networks].filter((key) => pipeline.networks[key]?.external !== true);
  const volumes = owner.mounts.flatMap(({ type, source }) =>
    type === "volume" && source !== undefined && pipeline.volumes[source]?.external !== true ? [source] : [],
  );
  return [
    ...[...new Set(networks)].map((key) => exists(`network/${key}`)),
    ...[...new Set(volumes)].map((key) => exists(`volume/${key}`)),
    ...unnamed(pipeline, owner, instance, facts).map(({ key }) => exists(`volume/${key}`)),
    ...dependencies(pipeline, owner, (component) => showsHealth(component, facts)),
  ];
}

/** A container says how healthy it is only where it has a check: the file's, or that of its image. */
function showsHealth(component: Component, facts: PreparedFacts): boolean {
  return component.healthcheck === undefined ? imageOf(component, facts).healthcheck : !component.healthcheck.disable;
}

function exists(key: ResourceKey): Prerequisite {
  return { key, condition: "exists" };
}

/** The ports of the host that the file names; those that the engine chooses are free. */
function hostPortsOf({ body }: ContainerSpec): Pick<DesiredResource, "hostPorts"> {
  const ports = Object.entries(body.HostConfig.PortBindings ?? {}).flatMap(([inside, bindings]) =>
    (bindings as readonly { readonly HostIp?: string; readonly HostPort?: string }[]).flatMap(({ HostIp, HostPort }) =>
      HostPort === undefined || HostPort === "" ? [] : [`${HostIp ?? "0.0.0.0"}:${HostPort}/${inside.split("/")[1]}`],
    ),
  );
  return ports.length === 0 ? {} : { hostPorts: ports };
}

/** The hashed parts of a container, each named after the key of the file that it comes from. */
function partsOf(spec: ContainerSpec): Record<string, unknown> {
  const { body } = spec;
  const { Mounts, PortBindings, RestartPolicy, ReadonlyRootfs, Tmpfs, ExtraHosts, Ulimits, ...host } = body.HostConfig;
  const { NanoCpus, Memory, PidsLimit, MemoryReservation, ...fixed } = host;
  return {
    name: spec.name,
    image: body.Image,
    entrypoint: body.Entrypoint,
    command: body.Cmd,
    working_dir: body.WorkingDir,
    environment: environmentOf(spec),
    user: body.User,
    healthcheck: body.Healthcheck,
    labels: body.Labels,
    ports: PortBindings,
    // Those without a source hold secrets and configs, which are parts of their own.
    volumes: Mounts.filter(({ Type, Source }) => Type !== "volume" || Source !== ""),
    tmpfs: Tmpfs,
    read_only: ReadonlyRootfs,
    extra_hosts: ExtraHosts,
    ulimits: Ulimits,
    restart: RestartPolicy,
    stop_grace_period: body.StopTimeout,
    "deploy.resources": [NanoCpus, Memory, PidsLimit, MemoryReservation],
    container: fixed,
    networks: spec.networks,
  };
}

/**
 * The same for a component. How many instances there are is no part: whoever runs learns of it from the control plane, and
 * scaling would replace them all. Nor is how often the engine looks at a built-in, which others' `depends_on` decides.
 */
function componentParts(component: Component, spec: ContainerSpec): Record<string, unknown> {
  const { entrypoint, command, ...parts } = partsOf(spec);
  const environment = environmentOf(spec);
  const {
    FLOWCTL_CONFIG,
    FLOWCTL_COMPONENT_TYPE,
    FLOWCTL_LOG_LEVEL,
    FLOWCTL_REPLICAS: _replicas,
    FLOWCTL_STOP_GRACE_MS: _grace,
    ...others
  } = environment;
  return {
    ...parts,
    ...(component.uses === undefined ? { entrypoint, command } : { uses: [entrypoint, command] }),
    type: FLOWCTL_COMPONENT_TYPE,
    with: FLOWCTL_CONFIG,
    log_level: FLOWCTL_LOG_LEVEL,
    environment: others,
    healthcheck: component.healthcheck,
    stop_grace_period: component.stopGracePeriodMs,
  };
}

function environmentOf({ body }: ContainerSpec): Readonly<Record<string, string>> {
  return Object.fromEntries(
    body.Env.map((entry) => [entry.slice(0, entry.indexOf("=")), entry.slice(entry.indexOf("=") + 1)]),
  );
}

/** A container in a network that is made anew has to be made anew too. */
function networkParts(pipeline: Pipeline, spec: ContainerSpec): unknown {
  const settings = Object.keys(pipeline.networks).map((key) => [networkName(pipeline, key), pipeline.networks[key]]);
  const known = Object.fromEntries(settings) as Readonly<Record<string, unknown>>;
  return spec.networks.map((network) => ({ ...network, settings: known[network.name] }));
}

function grantParts(spec: ContainerSpec, macs: ReadonlyMap<string, string>): Record<string, unknown> {
  const part = (kind: "secret" | "config"): unknown => {
    const files = spec.files.filter((file) => file.kind === kind);
    return files.length === 0
      ? undefined
      : files.map((file) => ({ ...file, value: macs.get(`${kind}/${file.source}`) }));
  };
  return { secrets: part("secret"), configs: part("config") };
}

/**
 * What stands in a hash for a value. Labels are seen by more than may use the engine, such as what collects metrics of containers: who
 * does not have the key cannot tell whether a guess is right, nor whether two secrets are the same.
 */
function secretMacs({ pipeline, secretValues, configValues }: Deployment, hashKey: Uint8Array): Map<string, string> {
  const macs = new Map<string, string>();
  for (const [key, value] of secretValues) {
    const mac = createHmac("sha256", hashKey).update(`${pipeline.name}\0${key}\0`).update(value);
    macs.set(`secret/${key}`, mac.digest("hex").slice(0, 32));
  }
  for (const [key, value] of configValues) macs.set(`config/${key}`, createHash("sha256").update(value).digest("hex"));
  return macs;
}

/** Says with which key the part about secrets was made: two of the same key differ where the secrets do, and others always. */
function keyedBy(hashKey: Uint8Array): (resource: DesiredResource) => DesiredResource {
  const id = createHmac("sha256", hashKey).update("id").digest("hex").slice(0, 8);
  return (resource) => {
    const { secrets, ...others } = resource.parts;
    return secrets === undefined ? resource : { ...resource, parts: { ...others, secrets: `${id}:${secrets}` } };
  };
}

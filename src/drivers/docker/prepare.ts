import { stat } from "node:fs/promises";
import pLimit from "p-limit";
import { FlowctlError } from "../../foundation/errors.ts";
import type { Component, Pipeline, Service } from "../../pipeline/pipeline.ts";
import type { Deployment, DesiredResource, PrepareOptions } from "../driver.ts";
import { givenAuthority } from "../given-authority.ts";
import { buildComponentImage, builtImageName } from "./build/build-image.ts";
import type { ImageFacts } from "./container/container-spec.ts";
import { type HostAccess, hostAccess, type UserIds } from "./container/host-user.ts";
import { endpointText } from "./engine/endpoint.ts";
import { dockerConfigDirectory, type Engine, engineInfo } from "./engine/engine.ts";
import { currentFlowctlImage, ensureFlowctlImage } from "./image/flowctl-image.ts";
import { imageFacts, inspectImage, pullImage } from "./image/images.ts";
import { type DockerClientConfig, readClientConfig, registryCredentials } from "./image/registry-auth.ts";
import type { Installation } from "./installation.ts";
import type { HashKeys } from "./resources/hash-key.ts";
import { readLabels } from "./resources/labels.ts";
import { nameTaken, networkName, volumeName } from "./resources/names.ts";
import { inspectNetwork, type NetworkSpec, refuseForeignContainers } from "./resources/networks.ts";
import type { Authorities } from "./resources/pipeline-identity.ts";
import { desiredResources, type PreparedFacts } from "./resources/resources.ts";
import { inspectVolume } from "./resources/volumes.ts";

/** Gets images, looks at host folders, and works out the resources; see `Driver.prepare`. */
export async function prepareDeployment(
  engine: Engine,
  installation: Installation,
  deployment: Deployment,
  options: PrepareOptions,
  { hashKeys, authorities }: { readonly hashKeys: HashKeys; readonly authorities: Authorities },
): Promise<readonly DesiredResource[]> {
  const { pipeline } = deployment;
  const { signal } = options;
  const given = givenAuthority(deployment, options);
  if (!engine.local) refusePathsOfThisMachine(pipeline, endpointText(engine.endpoint));
  const clientConfig = await readClientConfig(dockerConfigDirectory(installation.environment));
  await checkExternals(engine, pipeline, signal);
  const ownImage = options.dryRun
    ? currentFlowctlImage(engine, { ...installation, signal })
    : ensureFlowctlImage(engine, { ...installation, clientConfig, ...options, build: false });
  const known = new Map([[`flowctl:${installation.version}`, ownImage]]);
  const [flowctlImage, images, hosts, socket, hashKey, authority] = await Promise.all([
    ownImage,
    prepareImages(engine, deployment, clientConfig, options, known),
    prepareHosts(engine, pipeline, installation.invoker),
    engineSocket(engine, signal),
    hashKeys.find(engine, pipeline.name, signal),
    authorities.find(engine, pipeline.name, given, signal),
  ]);
  const found = { flowctlImage, images, hosts, hashKey, authority };
  const facts: PreparedFacts = { ...found, ...(socket === undefined ? {} : { socket }) };
  const resources = desiredResources(deployment, facts);
  checkHealthGates(resources, pipeline, facts);
  await checkNetworks(engine, resources, pipeline, signal);
  return resources;
}

/** Images of everything that is not a built-in, each reference once, and none that is made elsewhere: the `known`. */
async function prepareImages(
  engine: Engine,
  { pipeline, images = new Map() }: Deployment,
  clientConfig: DockerClientConfig,
  options: PrepareOptions,
  known: ReadonlyMap<string, Promise<ImageFacts>>,
): Promise<ReadonlyMap<string, ImageFacts>> {
  const owners: (Component | Service)[] = [...pipeline.components, ...pipeline.services];
  const work = new Map(known);
  const facts = new Map<string, ImageFacts>();
  const turns = pLimit(4);
  await Promise.all(
    owners.map(async (owner) => {
      if ("uses" in owner && owner.uses !== undefined) return;
      const reference = imageReference(pipeline, owner);
      const pinned = images.get(owner.id);
      if (pinned !== undefined) {
        facts.set(owner.id, await pinnedImage(engine, reference, pinned, owner, options.signal));
        return;
      }
      let ready = work.get(reference);
      if (ready === undefined) {
        ready = turns(async () => {
          // It may be built on one of them.
          if (owner.build !== undefined) await Promise.all(known.values());
          return prepareImage(engine, reference, owner, clientConfig, options);
        });
        work.set(reference, ready);
      }
      facts.set(owner.id, await ready);
    }),
  );
  return facts;
}

function imageReference(pipeline: Pipeline, owner: Component | Service): string {
  if (owner.image !== undefined) return owner.image;
  if (owner.build !== undefined) return builtImageName(pipeline.name, owner.id);
  throw new FlowctlError({
    code: "docker/no-image",
    kind: "invalid",
    message: `${owner.id} has none of \`uses\`, \`image\` and \`build\`, but Docker only runs images`,
    fix: "add one of them, or run the pipeline with `--driver process`",
    path: owner.id,
  });
}

/** The image with that id, under the name that the file has for it. */
async function pinnedImage(
  engine: Engine,
  reference: string,
  id: string,
  owner: Component | Service,
  signal: AbortSignal,
): Promise<ImageFacts> {
  const image = await inspectImage(engine, id, signal);
  if (image !== undefined) return imageFacts(reference, image);
  throw new FlowctlError({
    code: "docker/image-gone",
    kind: "not-found",
    message: `the previous image of ${owner.id} no longer exists on the engine (${reference}, ${id})`,
    fix:
      owner.build === undefined
        ? `pull it again: \`docker pull ${reference}\``
        : "build it again: `flowctl up -d --build`",
    path: owner.id,
  });
}

async function prepareImage(
  engine: Engine,
  reference: string,
  owner: Component | Service,
  clientConfig: DockerClientConfig,
  options: PrepareOptions,
): Promise<ImageFacts> {
  const { signal, progress, dryRun } = options;
  const build = options.build === true || (options.build !== false && options.build.has(owner.id));
  const present = await inspectImage(engine, reference, signal);
  if (dryRun) return imageFacts(reference, present);
  const policy = owner.pullPolicy ?? "missing";
  if (owner.build !== undefined && (build || policy === "build" || (present === undefined && policy !== "always"))) {
    await buildComponentImage(engine, reference, owner.build, clientConfig, options);
  } else if (present === undefined && policy === "never") {
    throw new FlowctlError({
      code: "docker/image-missing",
      kind: "not-found",
      message: `the image ${reference} of ${owner.id} does not exist on the engine, and its pull_policy is "never"`,
      fix: `pull it (\`docker pull ${reference}\`), or remove \`pull_policy: never\` from ${owner.id}`,
      path: owner.id,
    });
  } else if (policy === "always" || present === undefined) {
    const credentials = await registryCredentials(clientConfig, reference, signal);
    await pullImage(engine, reference, credentials, progress, signal);
  } else return imageFacts(reference, present);
  return imageFacts(reference, await inspectImage(engine, reference, signal));
}

async function prepareHosts(
  engine: Engine,
  pipeline: Pipeline,
  invoker: UserIds | undefined,
): Promise<ReadonlyMap<string, HostAccess>> {
  if (!engine.local) return new Map();
  const all = await Promise.all(
    pipeline.components.map(async (component) => [component.id, await hostAccess(component, invoker)] as const),
  );
  return new Map(all);
}

/** The socket that the engine access has, and the group that may use it. */
async function engineSocket(engine: Engine, signal: AbortSignal): Promise<PreparedFacts["socket"]> {
  const path = engine.endpoint.kind === "unix" ? engine.endpoint.path : "/var/run/docker.sock";
  const info = await engineInfo(engine, signal);
  // A rootless engine maps the socket's owner to root, and in a virtual machine the socket is root's.
  const foreign = info.SecurityOptions?.some((option) => option.includes("rootless")) || process.platform !== "linux";
  if (foreign || !engine.local) return { path, group: "0" };
  const gid = await stat(path).then(
    (found) => String(found.gid),
    () => undefined,
  );
  return gid === undefined ? { path } : { path, group: gid };
}

/** The engine of another machine would look for them there, and make empty folders where it finds none. */
function refusePathsOfThisMachine({ components, services }: Pipeline, engine: string): void {
  const refuse = (owner: string, path: string, key: string, fix: string): never => {
    throw new FlowctlError({
      code: "docker/path-not-there",
      kind: "invalid",
      message: `${owner} uses the local path ${path}, but the Docker engine at ${engine} runs on another machine`,
      fix,
      path: key,
    });
  };
  const here = "or run the pipeline on a local engine";
  for (const { id, type, hostPaths } of components) {
    const [first] = hostPaths;
    if (first === undefined) continue;
    refuse(
      id,
      first.path,
      `${type}s.${id}.with`,
      `use a component that reads or writes over the network, or one with \`image\` and a volume, ${here}`,
    );
  }
  const placed = [
    ...components.map(({ id, type, mounts }) => ({ id, mounts, section: `${type}s` })),
    ...services.map(({ id, mounts }) => ({ id, mounts, section: "services" })),
  ];
  for (const { id, mounts, section } of placed) {
    const bind = mounts.find(({ type }) => type === "bind");
    if (bind === undefined) continue;
    refuse(
      id,
      bind.source ?? "",
      `${section}.${id}.volumes`,
      `use a named volume, or \`configs\` for read-only files, ${here}`,
    );
  }
}

/** What the file calls external has to be there already. */
async function checkExternals(engine: Engine, pipeline: Pipeline, signal: AbortSignal): Promise<void> {
  const missing = (what: "network" | "volume", key: string, name: string): FlowctlError =>
    new FlowctlError({
      code: "docker/external-missing",
      kind: "not-found",
      message: `the external ${what} "${name}" does not exist`,
      fix: `create it with \`docker ${what} create ${name}\`, or remove \`external\``,
      path: `${what}s.${key}`,
    });
  for (const [key, network] of Object.entries(pipeline.networks)) {
    const name = networkName(pipeline, key);
    if (network.external && (await inspectNetwork(engine, name, signal)) === undefined)
      throw missing("network", key, name);
  }
  for (const [key, volume] of Object.entries(pipeline.volumes)) {
    const name = volumeName(pipeline, key);
    if (volume.external && (await inspectVolume(engine, name, signal)) === undefined)
      throw missing("volume", key, name);
  }
}

/** Before anything is removed that could not come back: a name that is somebody else's, a network that others are in. */
async function checkNetworks(
  engine: Engine,
  resources: readonly DesiredResource[],
  { name }: Pipeline,
  signal: AbortSignal,
): Promise<void> {
  for (const { key, kind, hash, spec } of resources) {
    if (kind !== "network") continue;
    const network = await inspectNetwork(engine, (spec as NetworkSpec).name, signal);
    if (network === undefined) continue;
    const labels = readLabels(network.Labels);
    if (labels?.pipeline !== name || labels.key !== key) throw nameTaken("network", network.Name);
    if (labels.hash !== hash) await refuseForeignContainers(engine, network, name, signal);
  }
}

/** Waiting for the health of a service without a check would never end. */
function checkHealthGates(resources: readonly DesiredResource[], pipeline: Pipeline, facts: PreparedFacts): void {
  for (const { owner, after } of resources) {
    for (const { key, condition } of after) {
      const service = condition === "healthy" && pipeline.services.find(({ id }) => key === `service/${id}-1`);
      if (!service) continue;
      const { healthcheck } = service;
      const image = facts.images.get(service.id);
      const known = image === undefined || image.reference.startsWith("sha256:");
      if (healthcheck?.disable || (healthcheck?.test === undefined && known && image?.healthcheck !== true)) {
        throw new FlowctlError({
          code: "docker/no-healthcheck",
          kind: "invalid",
          message: `${owner} depends on ${service.id} being healthy, but ${service.id} has no health check`,
          fix: `add a healthcheck to ${service.id}, or use the condition \`service_started\``,
          path: `services.${service.id}`,
        });
      }
    }
  }
}

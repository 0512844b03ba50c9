import { setTimeout as delay } from "node:timers/promises";
import { cancelled } from "../../foundation/clock.ts";
import { FlowctlError, hasCode } from "../../foundation/errors.ts";
import { projectFolder } from "../../pipeline/project-folder.ts";
import type { ApplyContext, Change, DesiredResource, ObservedResource } from "../driver.ts";
import { otherFolder } from "../other-folder.ts";
import { applyToExisting, stop } from "./apply-existing.ts";
import type { ContainerSpec } from "./container/container-spec.ts";
import {
  createContainer,
  inspectContainer,
  removeContainer,
  startContainer,
  stopContainer,
} from "./container/containers.ts";
import { deliverFiles } from "./container/deliver-files.ts";
import { authorityOf, deliverJoining } from "./container/deliver-joining.ts";
import { placeOf } from "./container/file-places.ts";
import { filesLabel, makeHostPaths } from "./container/host-files.ts";
import { NO_SUCH_PROGRAM, requireProgram } from "./container/program-check.ts";
import { isSecret } from "./container/secrets.ts";
import { startAgain } from "./container/start-again.ts";
import { takenAway } from "./container/taken-away.ts";
import type { Engine } from "./engine/engine.ts";
import { containerState } from "./observe.ts";
import type { HashKeys } from "./resources/hash-key.ts";
import { LABEL, readLabels, writeLabels } from "./resources/labels.ts";
import { nameTaken, networkName } from "./resources/names.ts";
import { createNetwork, inspectNetwork, type NetworkSpec, removeNetwork } from "./resources/networks.ts";
import type { Authorities } from "./resources/pipeline-identity.ts";
import { createVolume, inspectVolume, removeVolume, type VolumeSpec } from "./resources/volumes.ts";

/** What `DesiredResource.spec` holds on Docker. */
export type ResourceSpec = NetworkSpec | VolumeSpec | ContainerSpec;

/** What the driver that carries a change out has. */
interface Own {
  readonly version: string;
  readonly hashKeys: HashKeys;
  readonly authorities: Authorities;
}

/** How long another flowctl may take between making a container and starting it, before what it left counts as dead. */
const HALF_MADE_MS = 5_000;
/** How long a name may be taken by what cannot be seen, in milliseconds. */
const PATIENCE_MS = 15_000;

/** Carries out one change; see `Driver.apply`. */
export async function applyChange(engine: Engine, own: Own, change: Change, context: ApplyContext): Promise<void> {
  switch (change.action) {
    case "create":
      return create(engine, own, change.resource, context);
    case "replace":
      if (change.observed.kind === "volume") throw volumeChanged(change.observed);
      await remove(engine, change.observed, context);
      return create(engine, own, change.resource, context);
    case "start":
    case "stop":
    case "restart":
      return applyToExisting(engine, change, context);
    case "remove":
      return remove(engine, change.observed, context);
  }
}

async function remove(engine: Engine, observed: ObservedResource, context: ApplyContext): Promise<void> {
  const { signal, force = false } = context;
  if (observed.kind === "network") return removeNetwork(engine, observed.ref, context.pipeline, signal);
  if (observed.kind === "volume") return removeVolume(engine, observed.ref, signal);
  if (!force) await stop(engine, observed, force, signal);
  await removeContainer(engine, observed.ref, signal);
}

async function create(engine: Engine, own: Own, resource: DesiredResource, context: ApplyContext): Promise<void> {
  const spec = resource.spec as ResourceSpec;
  const folder = context.deployment === undefined ? undefined : projectFolder(context.deployment.pipeline);
  if (folder !== undefined) await refuseOtherFolder(engine, context, folder);
  const labels = writeLabels({
    ...resource,
    pipeline: context.pipeline,
    version: own.version,
    ...(folder === undefined ? {} : { folder }),
    ...(spec.resource === "container"
      ? {
          image: spec.image,
          networks: spec.networks.map(({ name }) => name),
          secrets: spec.files
            .filter(isSecret)
            .map((file) => placeOf(file, spec.body.HostConfig.ReadonlyRootfs === true)),
          ...(spec.authority === undefined ? {} : { authority: spec.authority }),
          depends: resource.after.map(({ key, condition }) => `${key}:${condition}`),
        }
      : {}),
  });
  if (spec.resource === "network") return makeNetwork(engine, spec, resource, labels, context);
  if (spec.resource === "volume") return makeVolume(engine, spec, resource, labels, context);
  return makeContainer(engine, spec, resource, labels, { ...context, ...own });
}

/** The network that every pipeline has says whose it is: the engine gives its name away once. */
async function refuseOtherFolder(
  engine: Engine,
  { pipeline, deployment, signal }: ApplyContext,
  folder: string,
): Promise<void> {
  const name = networkName(deployment?.pipeline ?? { name: pipeline, networks: {} }, "default");
  const owner = readLabels((await inspectNetwork(engine, name, signal))?.Labels);
  if (owner?.pipeline !== pipeline || owner.folder === undefined || owner.folder === folder) return;
  throw otherFolder(pipeline, owner.folder, folder);
}

async function makeNetwork(
  engine: Engine,
  spec: NetworkSpec,
  resource: DesiredResource,
  labels: Readonly<Record<string, string>>,
  context: ApplyContext,
): Promise<void> {
  const { pipeline, signal } = context;
  try {
    await createNetwork(engine, spec, labels, signal);
  } catch (error) {
    if (!hasCode(error, "docker/conflict")) throw error;
    const there = readLabels((await inspectNetwork(engine, spec.name, signal))?.Labels);
    if (there?.pipeline !== pipeline || there.key !== resource.key) throw nameTaken("network", spec.name, error);
    // Somebody may have made it since this change looked.
    if (labels[LABEL.folder] !== undefined) await refuseOtherFolder(engine, context, labels[LABEL.folder] as string);
  }
}

async function makeVolume(
  engine: Engine,
  spec: VolumeSpec,
  resource: DesiredResource,
  labels: Readonly<Record<string, string>>,
  { pipeline, signal }: ApplyContext,
): Promise<void> {
  const existing = await inspectVolume(engine, spec.name, signal);
  if (existing === undefined) return createVolume(engine, spec, labels, signal);
  const there = readLabels(existing.Labels);
  if (there?.pipeline !== pipeline || there.key !== resource.key) throw nameTaken("volume", spec.name);
}

async function makeContainer(
  engine: Engine,
  spec: ContainerSpec,
  resource: DesiredResource,
  labels: Readonly<Record<string, string>>,
  context: ApplyContext & Own,
): Promise<void> {
  const { signal, hashKeys, authorities } = context;
  await makeHostPaths(engine, spec);
  const body = { ...spec.body, Labels: { ...spec.body.Labels, ...labels, ...filesLabel(spec) } };
  const id = await createOrFind(engine, spec, body, resource, context);
  if (id === undefined) return;
  let isAsPlanned = true;
  try {
    await Promise.all([requireProgram(engine, id, spec, resource, context), deliverFiles(engine, id, spec, context)]);
    if (spec.joins !== undefined) {
      await deliverJoining(engine, id, spec.joins, await authorityOf(engine, context.pipeline, signal), signal);
    }
    if (resource.kind === "control-plane" || resource.kind === "engine-access") {
      await hashKeys.deliver(engine, context.pipeline, id, signal);
    }
    if (resource.kind === "control-plane") {
      isAsPlanned = await authorities.deliver(engine, context.pipeline, id, signal);
    }
    await startContainer(engine, id, signal);
  } catch (error) {
    // What never ran is of no use to anyone; when the clean-up fails too, the next plan sees it.
    const isTakenAway = !signal.aborted && (await isGone(engine, id, spec, signal));
    if (!signal.aborted) await removeContainer(engine, id, signal).catch(() => undefined);
    throw isTakenAway ? takenAway(spec.name, context.pipeline, error) : startFailure(error, spec);
  }
  if (!isAsPlanned) throw otherAuthority(context.pipeline);
}

/** The volume of a control plane that was gone turned out to have lost what the rest of the pipeline trusts, which is planned to stay. */
function otherAuthority(pipeline: string): FlowctlError {
  return new FlowctlError({
    code: "docker/other-authority",
    kind: "conflict",
    message: `the volume of the control plane of ${pipeline} has lost the authority that its components trust`,
    fix: `Run \`flowctl up -d -p ${pipeline}\` again: it replaces them`,
  });
}

/** Whether somebody has removed the container, or a network that it needs, since it was made. */
async function isGone(engine: Engine, id: string, spec: ContainerSpec, signal: AbortSignal): Promise<boolean> {
  const left: readonly unknown[] = await Promise.all([
    inspectContainer(engine, id, signal),
    ...spec.networks.map(({ name }) => inspectNetwork(engine, name, signal)),
  ]).catch(() => []);
  return left.includes(undefined);
}

/**
 * Makes the container and returns its id; undefined when another flowctl has made the very same one and it runs. A dead
 * remainder that has the name is removed. Throws when the name is somebody else's.
 */
async function createOrFind(
  engine: Engine,
  spec: ContainerSpec,
  body: ContainerSpec["body"],
  resource: DesiredResource,
  context: ApplyContext,
): Promise<string | undefined> {
  const { signal } = context;
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await createContainer(engine, spec.name, body, spec.networks, signal);
    } catch (error) {
      if (!hasCode(error, "docker/conflict")) throw refusedPart(error, spec);
      const settled = await settleConflict(engine, spec, resource, context, error);
      if (settled === "runs") return undefined;
      if (settled === "unclear" && Date.now() > deadline) throw error;
      // The engine gives a name away before the container can be seen.
      if (settled === "unclear") await pause(100, signal);
    }
  }
}

/** Looks at what has the wanted name; see `createOrFind`. */
async function settleConflict(
  engine: Engine,
  spec: ContainerSpec,
  resource: DesiredResource,
  context: ApplyContext,
  conflict: unknown,
): Promise<"runs" | "removed" | "unclear"> {
  const { pipeline, signal } = context;
  const detail = await inspectContainer(engine, spec.name, signal);
  if (detail === undefined) return "unclear";
  const there = readLabels(detail.Config.Labels);
  if (there?.pipeline !== pipeline || there.key !== resource.key) throw nameTaken("container", spec.name, conflict);
  const { status } = containerState(detail);
  if (status === "created" && age(detail.Created) < HALF_MADE_MS) return "unclear";
  const isSame =
    there.hash === resource.hash || (resource.kind === "control-plane" && isSameButIdentity(there, resource));
  if (isSame && status !== "created") {
    if (status === "exited") {
      await startAgain(engine, { ...resource, ref: detail.Id, name: spec.name }, context);
    }
    return "runs";
  }
  await stopContainer(engine, detail.Id, false, signal);
  await removeContainer(engine, detail.Id, signal);
  return "removed";
}

/** Of two who bring a pipeline up for the first time at once, each has an authority for it: that of the first counts. */
function isSameButIdentity({ parts }: Pick<DesiredResource, "parts">, wanted: Pick<DesiredResource, "parts">): boolean {
  const names = new Set([...Object.keys(parts), ...Object.keys(wanted.parts)]);
  names.delete("identity");
  return [...names].every((name) => parts[name] === wanted.parts[name]);
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => {
    throw cancelled(signal);
  });
}

function age(created: string): number {
  return Date.now() - Date.parse(created);
}

function volumeChanged(observed: ObservedResource): FlowctlError {
  return new FlowctlError({
    code: "docker/volume-changed",
    kind: "conflict",
    message: `the volume "${observed.name}" exists with other settings, and replacing it would destroy its data`,
    fix: "remove it with `flowctl down -v`, or restore the previous settings",
  });
}

/** A 404 at creation is about a part of the container, not about the container; a 400 about its settings or its image. */
function refusedPart(error: unknown, spec: ContainerSpec): unknown {
  if (error instanceof FlowctlError && error.kind === "invalid") {
    return new FlowctlError({
      code: "docker/refused",
      kind: "invalid",
      message: error.message,
      fix: `fix the settings of ${spec.name} as the error says; if the image ${spec.image} has no command, add \`command\` or \`entrypoint\``,
      cause: error,
    });
  }
  if (!hasCode(error, "docker/not-found")) return error;
  return new FlowctlError({
    code: "docker/not-found",
    kind: "not-found",
    message: error.message,
    fix: `check that the image ${spec.image} and the networks and volumes of ${spec.name} exist, then run \`flowctl up\` again`,
    cause: error,
  });
}

/** The engine says 400 or 404 for a command that is not in the image, and 500 for a port that is in use. */
function startFailure(error: unknown, spec: ContainerSpec): unknown {
  if (!(error instanceof FlowctlError) || error.kind === "cancelled" || error.kind === "unavailable") return error;
  if (error.code === NO_SUCH_PROGRAM || error.code.startsWith("identity/")) return error;
  const ports = Object.values((spec.body.HostConfig.PortBindings ?? {}) as Record<string, { HostPort: string }[]>)
    .flat()
    .map(({ HostPort }) => HostPort)
    .filter((port) => port !== "");
  return new FlowctlError({
    code: "docker/start-failed",
    kind: "failed",
    message: `${spec.name} did not start: ${error.message}`,
    fix:
      error.kind === "invalid" || error.kind === "not-found"
        ? "check its command and entrypoint: the program must exist in the image"
        : ports.length > 0
          ? `stop the process that uses the port (find it with \`ss -ltnp 'sport = :${ports[0]}'\`), or publish another port`
          : "fix the cause that the error names",
    cause: error,
  });
}

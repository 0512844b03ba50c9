import { FlowctlError } from "../foundation/errors.ts";
import type { OperationName } from "../protocol/records.ts";
import type { IncarnationReference, InstanceReference } from "../protocol/registry-codec.ts";
import type { Stranded } from "./transition.ts";

/** The instance, or this start of it, is not registered here: it is to register (again). */
export function unknownInstance(reference: InstanceReference): FlowctlError {
  return new FlowctlError({
    code: "registry/unknown-instance",
    kind: "not-found",
    message: `instance ${reference.instanceId} of ${reference.componentId} is not registered`,
    fix: "Register it again.",
  });
}

/** Another start of the same instance has registered since; this one has no part in the pipeline any more. */
export function superseded(reference: IncarnationReference): FlowctlError {
  return new FlowctlError({
    code: "registry/superseded",
    kind: "conflict",
    message: `instance ${reference.instanceId} was replaced by a newer start; this one must exit`,
  });
}

export function noPipeline(pipeline: string): FlowctlError {
  return new FlowctlError({
    code: "registry/no-pipeline",
    kind: "unavailable",
    message: `the control plane has not received the pipeline ${pipeline} yet`,
    fix: "Retry; if this persists, run `flowctl up` again.",
  });
}

export function wrongPipeline(asked: string, own: string): FlowctlError {
  return new FlowctlError({
    code: "registry/wrong-pipeline",
    kind: "invalid",
    message: `this is the control plane of the pipeline ${own}, not of ${asked}`,
    fix: "Check FLOWCTL_PIPELINE and FLOWCTL_CONTROL_PLANE.",
  });
}

export function unknownComponent(componentId: string, pipeline: string): FlowctlError {
  return new FlowctlError({
    code: "registry/unknown-component",
    kind: "not-found",
    message: `the pipeline ${pipeline} has no component ${componentId}`,
    fix: "Check FLOWCTL_COMPONENT_ID, or add the component to the pipeline file and run `flowctl up`.",
  });
}

export function wrongType(componentId: string, asked: string, own: string): FlowctlError {
  return new FlowctlError({
    code: "registry/wrong-type",
    kind: "invalid",
    message: `${componentId} is a ${own} in the pipeline file but registers as a ${asked}`,
    fix: `Move ${componentId} to \`${asked}s\` in the pipeline file, or run a program that is a ${own}.`,
  });
}

/** A change would give up events that were accepted already. */
export function wouldLoseEvents(pipeline: string, stranded: readonly Stranded[]): FlowctlError {
  const what = stranded.map(({ name, upstream, cannotDrain, cannotMove }) => {
    if (cannotMove === "disk")
      return `${upstream} may hold events for ${name} in a disk buffer, which no other component can take over`;
    if (cannotMove !== undefined)
      return `${upstream} may hold dead letters for ${name}, which no other component can take over`;
    if (upstream === undefined) return `${name} is not running and may have events in a disk buffer`;
    if (cannotDrain) return `${upstream} does not support draining and would drop the events it holds for ${name}`;
    return `${name} is not running, ${upstream} holds events for it, and no other component takes them over`;
  });
  const buffered = stranded.filter(({ cannotMove }) => cannotMove !== undefined).map(({ name }) => name);
  const down = stranded
    .filter((one) => one.cannotDrain !== true && one.cannotMove === undefined)
    .map(({ name }) => name);
  const older = stranded.flatMap(({ upstream, cannotDrain }) =>
    cannotDrain && upstream !== undefined ? [upstream] : [],
  );
  const fixes = [
    ...(down.length === 0
      ? []
      : [`start ${unique(down)} to process them: \`flowctl start -p ${pipeline} ${[...new Set(down)].join(" ")}\``]),
    ...(buffered.length === 0 ? [] : [`keep ${unique(buffered)} in the file`]),
    ...(older.length === 0
      ? []
      : [`run a version of ${unique(older)} that declares draining in RegisterComponent.features`]),
  ].join(", and ");
  return new FlowctlError({
    code: "registry/would-lose-events",
    kind: "conflict",
    message: `the change would lose accepted events: ${what.join("; ")}`,
    fix: `${fixes}, or discard them with \`flowctl up -p ${pipeline} --discard\`.`,
  });
}

/** What a changed file names again was told to leave, and has not yet: it can only be started anew after that. */
export function stillLeaving(names: readonly string[]): FlowctlError {
  return new FlowctlError({
    code: "registry/still-leaving",
    kind: "conflict",
    message: `${names.join(", ")} was removed earlier and is still draining`,
    fix: "Retry when it has drained; `flowctl status` lists it until then.",
  });
}

/** What a changed file removes has just been started: what it is to hand on it can only hand on once it runs. */
export function stillStarting(names: readonly string[]): FlowctlError {
  return new FlowctlError({
    code: "registry/still-starting",
    kind: "conflict",
    message: `${names.join(", ")} is removed and has yet to start, to deliver the events that wait for it`,
    fix: "Retry when it runs; `flowctl ps` shows that.",
  });
}

function unique(names: readonly string[]): string {
  return [...new Set(names)].join(", ");
}

export function noAddress(reference: InstanceReference, type: string): FlowctlError {
  return new FlowctlError({
    code: "registry/no-address",
    kind: "invalid",
    message: `${reference.instanceId} registers without an address, but a ${type} needs one for downstream connections`,
    fix: "Send the value of FLOWCTL_ADVERTISE as the address.",
  });
}

export function invalidSpec(message: string, path: string): FlowctlError {
  return new FlowctlError({ code: "control/invalid-spec", kind: "invalid", message, path });
}

/** An id that the pipeline's desired state does not have. */
export function notAnInstance(reference: InstanceReference, ids: readonly string[]): FlowctlError {
  return new FlowctlError({
    code: "registry/not-an-instance",
    kind: "conflict",
    message: `${reference.componentId} has no instance ${reference.instanceId}; it has ${ids.join(", ")}`,
    fix: "Check FLOWCTL_INSTANCE_ID. If the component was scaled down, this instance must exit.",
  });
}

/** The last word of an incarnation stays its last. */
export function deregistered(reference: IncarnationReference): FlowctlError {
  return new FlowctlError({
    code: "registry/deregistered",
    kind: "conflict",
    message: `this start of instance ${reference.instanceId} has deregistered`,
    fix: "Exit the program. A new start registers with a new incarnation.",
  });
}

/** The incarnation that is registered lives; whoever is its successor gets in as soon as it has ended. */
export function instanceAlive(reference: IncarnationReference): FlowctlError {
  return new FlowctlError({
    code: "registry/instance-alive",
    kind: "unavailable",
    message: `another running program is registered as instance ${reference.instanceId}`,
    fix: "Retry: registration succeeds once the other program has exited or sent no heartbeat for 30 s.",
  });
}

export function operationUnderWay({ command, holder }: OperationName, sinceMs: number): FlowctlError {
  return new FlowctlError({
    code: "control/operation-under-way",
    kind: "conflict",
    message: `\`${command}\` (${holder}) has been changing this pipeline for ${Math.round(sinceMs / 1000)} s`,
    fix: "Run this command again when that one is done; `flowctl stop` and `flowctl down` abort it instead of waiting.",
  });
}

/** A plan was made before another command changed the pipeline. */
export function changedSince({ command, holder }: OperationName): FlowctlError {
  return new FlowctlError({
    code: "control/changed-since",
    kind: "conflict",
    message: `\`${command}\` (${holder}) changed this pipeline after this change was planned`,
    fix: "Run this command again to plan from the current state.",
  });
}

export function operationTakenOver({ command, holder }: OperationName): FlowctlError {
  return new FlowctlError({
    code: "control/operation-taken-over",
    kind: "conflict",
    message: `\`${command}\` (${holder}) has taken over this pipeline`,
    fix: "If this command is still wanted, run it again when that one is done.",
  });
}

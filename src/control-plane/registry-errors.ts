import { FlowctlError } from "../foundation/errors.ts";
import type { IncarnationReference, InstanceReference } from "../protocol/registry-codec.ts";

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
    message: `instance ${reference.instanceId} was started again since; this start of it is to end`,
  });
}

export function noPipeline(pipeline: string): FlowctlError {
  return new FlowctlError({
    code: "registry/no-pipeline",
    kind: "unavailable",
    message: `the control plane was not told yet what the pipeline ${pipeline} is`,
    fix: "Try again; if it goes on, run `flowctl up` again.",
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
    message: `${componentId} is a ${own} in the pipeline file and registers as a ${asked}`,
    fix: `Move ${componentId} to where the file lists its ${asked}s, or run a program that is a ${own}.`,
  });
}

export function noAddress(reference: InstanceReference, type: string): FlowctlError {
  return new FlowctlError({
    code: "registry/no-address",
    kind: "invalid",
    message: `${reference.instanceId} registers without an address; a ${type} has to be dialled`,
    fix: "Send the value of FLOWCTL_ADVERTISE as the address.",
  });
}

export function invalidSpec(message: string, path: string): FlowctlError {
  return new FlowctlError({ code: "control/invalid-spec", kind: "invalid", message, path });
}

import { FlowctlError } from "../foundation/errors.ts";
import { describeName, type Role } from "./names.ts";
import type { Peer } from "./peer.ts";

/** Who calls, as a role of the table. `control-plane` has none: it calls nobody. */
export type CallerRole = Exclude<Role, "control-plane">;

/** Whether a role may call: `itself` only about the instance, or the component, that its certificate names. */
export type Permission = "yes" | "itself" | "no";

export const CALLER_ROLES: readonly CallerRole[] = ["joining", "component", "operator", "reader"];

type Row = Readonly<Record<CallerRole, Permission>>;

const everybody: Row = { joining: "yes", component: "yes", operator: "yes", reader: "yes" };
const operator: Row = { joining: "no", component: "no", operator: "yes", reader: "no" };
const lookers: Row = { joining: "no", component: "no", operator: "yes", reader: "yes" };
const members: Row = { joining: "no", component: "yes", operator: "yes", reader: "yes" };
const instance: Row = { joining: "no", component: "itself", operator: "no", reader: "no" };
const joiner: Row = { joining: "itself", component: "no", operator: "no", reader: "no" };

const registry = "/flowctl.registry.v1.ComponentRegistry";
const control = "/flowctl.control.v1.PipelineControl";

/** Who may call what: by the path of each RPC that the control plane serves. What is not in it nobody may call. */
export const PERMISSIONS: Readonly<Record<string, Row>> = {
  [`${registry}/Join`]: joiner,
  [`${registry}/Renew`]: instance,
  [`${registry}/RegisterComponent`]: instance,
  [`${registry}/Heartbeat`]: instance,
  [`${registry}/DeregisterComponent`]: instance,
  [`${registry}/WatchTopology`]: instance,
  [`${registry}/SaveCheckpoint`]: instance,
  [`${registry}/GetComponents`]: lookers,
  [`${registry}/GetComponentStatus`]: { ...lookers, component: "itself" },
  [`${control}/ApplyPipeline`]: operator,
  [`${control}/CheckPipeline`]: operator,
  [`${control}/GetPipeline`]: lookers,
  [`${control}/WatchEvents`]: lookers,
  [`${control}/SetDesiredState`]: operator,
  [`${control}/HoldOperation`]: operator,
  [`${control}/KeepPipeline`]: operator,
  [`${control}/GetKeptPipeline`]: operator,
  [`${control}/ReplayEvents`]: operator,
  [`${control}/ReportInstance`]: operator,
  [`${control}/GrantAccess`]: operator,
  [`${control}/RevokeAccess`]: operator,
  [`${control}/ListAccess`]: operator,
  [`${control}/RotateOwner`]: operator,
  [`${control}/OpenSession`]: lookers,
  "/flowctl.stream.v1.EventStream/Subscribe": instance,
  "/grpc.health.v1.Health/Check": everybody,
  "/grpc.health.v1.Health/Watch": everybody,
  "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": members,
  "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": members,
};

/**
 * Throws `identity/not-permitted` for a call that the table does not permit, `identity/unauthenticated` for a peer without a name of this
 * pipeline, and `identity/expired` for one whose certificate was good until before `now`: it was when it connected. What is permitted about itself only is for `requireItself` to look at, once it is known whom the call is about.
 */
export function requirePermission(path: string, peer: Peer | undefined, pipeline: string, now: number): Peer {
  if (peer === undefined || peer.name.pipeline !== pipeline) throw unauthenticated(peer, pipeline);
  if (!(now < peer.expires)) throw expired(peer);
  const { role } = peer.name;
  if (role === "control-plane") throw notPermitted(peer, path);
  if ((PERMISSIONS[path]?.[role] ?? "no") === "no") throw notPermitted(peer, path);
  return peer;
}

/** Whom a request is about, as far as it says. */
export interface Subject {
  readonly componentId: string;
  readonly instanceId?: string;
}

/** Throws `identity/not-itself`, naming both, when a request of an instance is about another one. Undefined: nobody has an identity. */
export function requireItself(peer: Peer | undefined, { componentId, instanceId }: Subject): void {
  const name = peer?.name;
  if (name === undefined || !("instance" in name)) return;
  if (name.component === componentId && (instanceId === undefined || name.instance === instanceId)) return;
  const other = instanceId === undefined ? componentId : `instance ${instanceId} of ${componentId}`;
  throw new FlowctlError({
    code: "identity/not-itself",
    kind: "denied",
    message: `the certificate is that of ${describeName(name)}, and the request is about ${other}`,
    fix: "Send FLOWCTL_COMPONENT_ID and FLOWCTL_INSTANCE_ID as they are.",
  });
}

function notPermitted(peer: Peer, path: string): FlowctlError {
  return new FlowctlError({
    code: "identity/not-permitted",
    kind: "denied",
    message: `${describeName(peer.name)}${peer.name.role === "joining" ? ", which has not joined," : ""} may not call ${path.slice(1)}`,
    ...(peer.name.role === "reader"
      ? { fix: "A reader may only look. Ask the owner of the pipeline for access as an operator." }
      : {}),
  });
}

function expired({ name, expires }: Peer): FlowctlError {
  return new FlowctlError({
    code: "identity/expired",
    kind: "unauthenticated",
    message: `the certificate that ${describeName(name)} has connected with expired at ${new Date(expires).toUTCString()}`,
    fix: "Connect again with the newest certificate. An instance that has none which is valid joins again.",
  });
}

function unauthenticated(peer: Peer | undefined, pipeline: string): FlowctlError {
  const what = peer === undefined ? "has no name" : `is of pipeline ${peer.name.pipeline}`;
  return new FlowctlError({
    code: "identity/unauthenticated",
    kind: "unauthenticated",
    message: `a certificate that the authority of pipeline ${pipeline} made for this is needed, and the one that was shown ${what}`,
  });
}

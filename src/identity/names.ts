import { FlowctlError } from "../foundation/errors.ts";

/** Whom a certificate is about, in one pipeline. */
export type Name =
  /** The control plane, towards whoever dials it. */
  | { readonly role: "control-plane"; readonly pipeline: string }
  /** An instance that has joined. */
  | { readonly role: "component"; readonly pipeline: string; readonly component: string; readonly instance: string }
  /** An instance that has started and may join, once. */
  | { readonly role: "joining"; readonly pipeline: string; readonly component: string; readonly instance: string }
  /** Whoever may change the pipeline: the command line. */
  | { readonly role: "operator"; readonly pipeline: string }
  /** Whoever may look at it. */
  | { readonly role: "reader"; readonly pipeline: string };

export type Role = Name["role"];

/** An instance's name. */
export type InstanceName = Extract<Name, { readonly instance: string }>;

const SCHEME = "spiffe://";
/** What pipelines, components and instances are called; nothing in it means anything in a URI or in a list of names. */
const SEGMENT = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/** The name as a URI: `spiffe://<pipeline>/<role>`, followed by `/<component>/<instance>` for an instance. Throws `identity/name`. */
export function formatName(name: Name): string {
  const segments = [name.pipeline, name.role, ...("instance" in name ? [name.component, name.instance] : [])];
  for (const segment of segments) if (!SEGMENT.test(segment)) throw notAName(segments.join("/"));
  return SCHEME + segments.join("/");
}

/** The name that a URI is; undefined for any other URI. */
export function parseName(uri: string): Name | undefined {
  if (!uri.startsWith(SCHEME)) return undefined;
  const segments = uri.slice(SCHEME.length).split("/");
  if (!segments.every((segment) => SEGMENT.test(segment))) return undefined;
  const [pipeline = "", role = "", component = "", instance = ""] = segments;
  if (segments.length === 2) {
    return role === "control-plane" || role === "operator" || role === "reader" ? { role, pipeline } : undefined;
  }
  if (segments.length !== 4 || (role !== "component" && role !== "joining")) return undefined;
  return { role, pipeline, component, instance };
}

/**
 * The host name in the certificate of whoever serves, for gRPC libraries that can check nothing else: `control-plane`, or the id of the
 * instance. Undefined for names under which nobody serves.
 */
export function hostNameOf(name: Name): string | undefined {
  if (name.role === "control-plane") return "control-plane";
  return name.role === "component" ? name.instance : undefined;
}

/** How messages call it: `instance enrich-1 of enrich`, `the operator`. */
export function describeName(name: Name): string {
  switch (name.role) {
    case "control-plane":
      return "the control plane";
    case "component":
    case "joining":
      return `instance ${name.instance} of ${name.component}`;
    case "operator":
    case "reader":
      return `the ${name.role}`;
  }
}

function notAName(what: string): FlowctlError {
  return new FlowctlError({
    code: "identity/name",
    kind: "invalid",
    message: `${JSON.stringify(what)} cannot be the name of a certificate`,
    fix: "Use letters, digits, dots, dashes and underscores.",
  });
}

import { FlowctlError } from "../../foundation/errors.ts";
import { describeName } from "../../identity/names.ts";
import type { Peer } from "../../identity/peer.ts";

/** Whoever shows it was never given access, or has it no longer. */
export function revoked({ name }: Peer): FlowctlError {
  return new FlowctlError({
    code: "identity/revoked",
    kind: "unauthenticated",
    message: `the certificate of ${describeName(name)} gives no access to pipeline ${name.pipeline} (any more)`,
    fix:
      name.role === "reader"
        ? "Ask the owner of the pipeline for access: `flowctl access grant NAME`."
        : "Run the command again if you own the pipeline; its certificate was replaced. Otherwise ask its owner for access: `flowctl access grant NAME`.",
  });
}

export function invalidName(name: string): FlowctlError {
  return new FlowctlError({
    code: "access/invalid-name",
    kind: "invalid",
    message: `${JSON.stringify(name.slice(0, 100))} cannot be the name of somebody who has access`,
    fix: "Use at most 63 letters, digits, dots, dashes and underscores, beginning with a letter or digit, and not `owner`.",
  });
}

export function nameTaken(name: string): FlowctlError {
  return new FlowctlError({
    code: "access/name-taken",
    kind: "conflict",
    message: `${name} has access already`,
    fix: `Choose another name, or run \`flowctl access revoke ${name}\` first.`,
  });
}

export function tooMany(most: number): FlowctlError {
  return new FlowctlError({
    code: "access/too-many",
    kind: "conflict",
    message: `${most} others have access already`,
    fix: "Look at them with `flowctl access list`, and revoke those that are not needed.",
  });
}

export function noSuchName(name: string): FlowctlError {
  return new FlowctlError({
    code: "access/not-found",
    kind: "not-found",
    message: `nobody has access under the name ${JSON.stringify(name.slice(0, 100))}`,
    fix: "Look at the names with `flowctl access list`.",
  });
}

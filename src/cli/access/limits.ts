import type { GrantedAccess } from "../../client/access-file.ts";
import { FlowctlError, hasCode } from "../../foundation/errors.ts";
import { outOfReach } from "./granted-driver.ts";

/**
 * What a command needs of whoever runs it with an access file: to look, to operate the control plane, or the driver, be it to look or to
 * change what runs.
 */
export type NeededAccess = "looks" | "operates" | "driver" | "changes";

/** Throws `identity/not-permitted`, or `cli/access-not-enough`, where a command can do nothing with an access file. */
export function requireAccess(needed: NeededAccess, access: GrantedAccess, command: string): void {
  if (needed === "looks") return;
  if (access.role === "reader" && needed !== "driver") throw notPermitted(access, command, needed);
  if (needed !== "operates") throw outOfReach(`\`${command}\``, access);
}

/** What the control plane says, too, where somebody asks it all the same. */
function notPermitted({ pipeline, name }: GrantedAccess, command: string, needed: NeededAccess): FlowctlError {
  return new FlowctlError({
    code: "identity/not-permitted",
    kind: "denied",
    message: `${name} is a reader of ${pipeline}, and may not run \`${command}\``,
    fix:
      needed === "operates"
        ? `Ask the owner of ${pipeline} to run it, or for access as an operator`
        : `Ask the owner of ${pipeline} to run it: it needs the driver, which no access file reaches`,
  });
}

/**
 * The error of a command with an access file, for whoever has that file: where nobody answers, with what may have become of the address in it;
 * where it is refused, that it is the file's access which has ended.
 */
export function forHolder(error: unknown, access: GrantedAccess): unknown {
  if (hasCode(error, "identity/revoked")) return ended(error, access);
  const { pipeline } = access;
  if (!(error instanceof FlowctlError) || error.kind !== "unavailable") return error;
  return new FlowctlError({
    ...{ code: error.code, kind: error.kind, message: error.message, cause: error },
    fix: `Ask the owner of ${pipeline} whether it runs, and where: \`flowctl ps\` shows its ports, which \`grpc\` and \`http\` in the access file have to name. Where they are right, somebody else answers there, or the pipeline has another authority by now: ask for another file`,
  });
}

/** The control plane cannot tell whose access it was: what it keeps of that is gone. */
function ended({ code, kind }: FlowctlError, { pipeline, name, role }: GrantedAccess): FlowctlError {
  return new FlowctlError({
    ...{ code, kind },
    message: `The access of ${name} to ${pipeline}, as ${role}, was revoked, or replaced by a newer file`,
    fix: `Use the newest access file that you have, or ask the owner of ${pipeline} for another one: \`flowctl access grant ${name}\``,
  });
}

import { FlowctlError } from "../../../foundation/errors.ts";

/** The error for a container that somebody removed while it was being started. */
export function takenAway(name: string, pipeline: string, cause: unknown): FlowctlError {
  return new FlowctlError({
    code: "docker/taken-away",
    kind: "conflict",
    message: `${name} was removed while it was starting: another command is taking ${pipeline} down`,
    fix: `Run \`flowctl up -d -p ${pipeline}\` again once that command is done`,
    cause,
  });
}

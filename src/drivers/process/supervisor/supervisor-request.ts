import { FlowctlError } from "../../../foundation/errors.ts";
import { PROTOCOL_MISMATCH, PROTOCOL_VERSION, type SupervisorRequest } from "./supervisor-protocol.ts";

type Fields = Readonly<Record<string, unknown>>;

/** By action: which resources a change has to name. */
const CHANGES: Readonly<Record<string, readonly string[]>> = {
  create: ["resource"],
  replace: ["resource", "observed"],
  start: ["observed"],
  stop: ["observed"],
  restart: ["observed"],
  remove: ["observed"],
};
const ENDINGS: readonly unknown[] = ["keep", "stop", "kill"];

/**
 * What came over the socket, as the request that it is. Throws PROTOCOL_MISMATCH for another version's, and `process/bad-request`
 * for what is none: nothing of it was done then. What a resource is made of is not looked at, but that it is named right.
 */
export function requestOf(frame: unknown): SupervisorRequest {
  const request = fieldsOf(frame, "the request");
  if (request.v !== PROTOCOL_VERSION) throw mismatch(request.v);
  switch (request.method) {
    case "hello":
      return { method: "hello" };
    case "events":
      if (typeof request.since !== "number") throw bad("since must be a number");
      return { method: "events", since: request.since };
    case "shutdown":
      if (!ENDINGS.includes(request.instances)) throw bad("instances must be keep, stop or kill");
      return request as unknown as SupervisorRequest;
    case "apply":
      checkChange(fieldsOf(request.change, "change"));
      if (typeof request.force !== "boolean") throw bad("force must be a boolean");
      for (const name of ["secrets", "configs"]) {
        if (Object.values(fieldsOf(request[name], name)).some((value) => typeof value !== "string"))
          throw bad(`${name} must be strings`);
      }
      return request as unknown as SupervisorRequest;
    default:
      throw bad("unknown method");
  }
}

function checkChange(change: Fields): void {
  const named =
    typeof change.action === "string" && Object.hasOwn(CHANGES, change.action) ? CHANGES[change.action] : undefined;
  if (named === undefined) throw bad("unknown action");
  for (const name of named) checkResource(fieldsOf(change[name], name), name);
  if (named.includes("resource")) fieldsOf(fieldsOf(change.resource, "resource").spec, "spec");
}

/** Its name becomes one of files: it has to be one that the pipeline file may have. */
function checkResource({ key, owner, index }: Fields, name: string): void {
  const isNamed = typeof owner === "string" && /^[a-z0-9][a-z0-9_-]*$/.test(owner) && Number.isSafeInteger(index);
  if (!isNamed || key !== `component/${owner}-${String(index)}`) throw bad(`${name} is not named as an instance`);
}

function fieldsOf(value: unknown, what: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw bad(`${what} must be an object`);
  return value as Fields;
}

function bad(what: string): FlowctlError {
  const message = `Invalid request to the supervisor: ${what}`;
  return new FlowctlError({ code: "process/bad-request", kind: "invalid", message });
}

function mismatch(version: unknown): FlowctlError {
  return new FlowctlError({
    code: PROTOCOL_MISMATCH,
    kind: "conflict",
    message: `Protocol version mismatch: the supervisor uses version ${PROTOCOL_VERSION}, this command version ${String(typeof version === "number" ? version : "unknown")}`,
    fix: "Run `flowctl down`, then `flowctl up`, with the same version of flowctl",
  });
}

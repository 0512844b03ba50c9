import { FlowctlError } from "../../../foundation/errors.ts";

/** The error for a container, network or volume whose name is somebody else's. */
export function nameTaken(what: string, name: string, cause?: unknown): FlowctlError {
  return new FlowctlError({
    code: "docker/name-taken",
    kind: "conflict",
    message: `a ${what} named "${name}" exists and does not belong to this pipeline`,
    fix:
      what === "container"
        ? `remove it (\`docker rm -f ${name}\`), or rename the pipeline`
        : `remove it (\`docker ${what} rm ${name}\`), declare it as \`external: true\`, or rename the pipeline`,
    cause,
  });
}

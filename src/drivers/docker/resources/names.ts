import { FlowctlError } from "../../../foundation/errors.ts";
import type { Pipeline } from "../../../pipeline/pipeline.ts";
import { instanceId } from "../../identity.ts";

/** Name of a component's or service's container. */
export function instanceContainerName(pipeline: string, owner: string, index: number): string {
  return `${pipeline}-${instanceId(owner, index)}`;
}

/** Engine's name of a network of the file, or of the pipeline's own, `default`. */
export function networkName(pipeline: Pick<Pipeline, "name" | "networks">, key: string): string {
  const named = pipeline.networks[key]?.name;
  if (named !== undefined) return named;
  if (key === "default") return `flowctl_${pipeline.name}`;
  return pipeline.networks[key]?.external ? key : `${pipeline.name}_${key}`;
}

/** Engine's name of a volume of the file. */
export function volumeName(pipeline: Pick<Pipeline, "name" | "volumes">, key: string): string {
  const volume = pipeline.volumes[key];
  return volume?.name ?? (volume?.external ? key : `${pipeline.name}_${key}`);
}

/** Name of the volume with one instance's state. */
export function stateVolumeName(pipeline: string, instance: string): string {
  return `flowctl_${pipeline}_state_${instance}`;
}

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

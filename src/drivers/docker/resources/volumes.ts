import type Dockerode from "dockerode";
import { FlowctlError, hasCode } from "../../../foundation/errors.ts";
import { type Engine, unlessCode } from "../engine/engine.ts";
import { pipelineFilter } from "./labels.ts";

/** A volume of a pipeline, as the engine shall make it. */
export interface VolumeSpec {
  readonly resource: "volume";
  readonly name: string;
  readonly driver?: string;
  readonly driverOpts: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

export async function listVolumes(
  engine: Engine,
  pipeline: string | undefined,
  signal: AbortSignal,
): Promise<readonly Dockerode.VolumeInspectInfo[]> {
  const answer = await engine.call("list volumes", signal, (docker) =>
    docker.listVolumes({ filters: pipelineFilter(pipeline), abortSignal: signal }),
  );
  return answer.Volumes ?? [];
}

export async function inspectVolume(
  engine: Engine,
  name: string,
  signal: AbortSignal,
): Promise<Dockerode.VolumeInspectInfo | undefined> {
  const request = engine.call(`inspect volume ${name}`, signal, (docker) =>
    docker.getVolume(name).inspect({ abortSignal: signal }),
  );
  return unlessCode(request, "docker/not-found");
}

/** The engine gives an existing volume of that name and says nothing: look before. */
export async function createVolume(
  engine: Engine,
  spec: VolumeSpec,
  labels: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<void> {
  await engine.call(`create volume ${spec.name}`, signal, (docker) =>
    docker.createVolume({
      Name: spec.name,
      Driver: spec.driver ?? "local",
      DriverOpts: { ...spec.driverOpts },
      Labels: { ...spec.labels, ...labels },
      abortSignal: signal,
    }),
  );
}

/** One that is gone is success; `docker/conflict` while a container uses it. */
export async function removeVolume(engine: Engine, name: string, signal: AbortSignal): Promise<void> {
  const request = engine.call(`remove volume ${name}`, signal, (docker) =>
    docker.getVolume(name).remove({ abortSignal: signal }),
  );
  try {
    await unlessCode(request, "docker/not-found");
  } catch (error) {
    if (!hasCode(error, "docker/conflict")) throw error;
    throw new FlowctlError({
      code: "docker/conflict",
      kind: "conflict",
      message: error.message,
      fix: `remove the container that uses it (find it with \`docker ps -a --filter volume=${name}\`), then run \`flowctl down -v\` again`,
      cause: error,
    });
  }
}

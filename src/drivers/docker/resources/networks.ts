import type Dockerode from "dockerode";
import { FlowctlError } from "../../../foundation/errors.ts";
import { listContainers } from "../container/containers.ts";
import { type Engine, unlessCode } from "../engine/engine.ts";

/** A network of a pipeline, as the engine shall make it. */
export interface NetworkSpec {
  readonly resource: "network";
  readonly name: string;
  readonly driver?: string;
  readonly driverOpts: Readonly<Record<string, string>>;
  readonly internal: boolean;
  readonly labels: Readonly<Record<string, string>>;
}

/** Every network of the engine, foreign ones included. */
export async function listNetworks(
  engine: Engine,
  signal: AbortSignal,
): Promise<readonly Dockerode.NetworkInspectInfo[]> {
  return engine.call("list networks", signal, (docker) => docker.listNetworks({ abortSignal: signal }));
}

export async function inspectNetwork(
  engine: Engine,
  name: string,
  signal: AbortSignal,
): Promise<Dockerode.NetworkInspectInfo | undefined> {
  const request = engine.call(
    `inspect network ${name}`,
    signal,
    (docker) => docker.getNetwork(name).inspect() as Promise<Dockerode.NetworkInspectInfo>,
  );
  return unlessCode(request, "docker/not-found");
}

/** Puts a container into a network, under these names; one that is in it, or a network that is gone, is left as it is. */
export async function connectToNetwork(
  engine: Engine,
  name: string,
  container: string,
  aliases: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const request = engine.call(`connect ${container} to network ${name}`, signal, (docker) =>
    docker.getNetwork(name).connect({ Container: container, EndpointConfig: { Aliases: [...aliases] } }),
  );
  // The engine says 403 for what is connected already.
  await unlessCode(request, "docker/not-found", "docker/conflict", "docker/forbidden");
}

/** `docker/conflict` when the name is taken. */
export async function createNetwork(
  engine: Engine,
  spec: NetworkSpec,
  labels: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<void> {
  try {
    await engine.call(`create network ${spec.name}`, signal, (docker) =>
      docker.createNetwork({
        Name: spec.name,
        CheckDuplicate: true,
        Driver: spec.driver ?? "bridge",
        Internal: spec.internal,
        Options: { ...spec.driverOpts },
        Labels: { ...spec.labels, ...labels },
        abortSignal: signal,
      }),
    );
  } catch (error) {
    throw addressFix(error);
  }
}

/** Throws `docker/network-in-use` (kind conflict) when containers that are not of this pipeline are in the network. */
export async function refuseForeignContainers(
  engine: Engine,
  network: Dockerode.NetworkInspectInfo,
  pipeline: string,
  signal: AbortSignal,
): Promise<void> {
  const attached = Object.entries(network.Containers ?? {});
  if (attached.length === 0) return;
  const own = new Set((await listContainers(engine, pipeline, signal)).map(({ Id }) => Id));
  const foreign = attached.filter(([id]) => !own.has(id)).map(([, { Name }]) => Name);
  if (foreign.length === 0) return;
  throw new FlowctlError({
    code: "docker/network-in-use",
    kind: "conflict",
    message: `cannot remove network "${network.Name}": containers outside this pipeline use it (${foreign.join(", ")})`,
    fix: `disconnect them with \`docker network disconnect ${network.Name} ${foreign[0]}\`, or stop them, then run flowctl again`,
  });
}

/**
 * Takes the pipeline's containers off the network and removes it; one that is gone is success. Rejects with
 * `docker/network-in-use` while containers of others are in it.
 */
export async function removeNetwork(engine: Engine, ref: string, pipeline: string, signal: AbortSignal): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const network = await inspectNetwork(engine, ref, signal);
    if (network === undefined) return;
    await refuseForeignContainers(engine, network, pipeline, signal);
    for (const container of Object.keys(network.Containers ?? {})) {
      const request = engine.call(`disconnect network ${ref}`, signal, (docker) =>
        docker.getNetwork(network.Id).disconnect({ Container: container, Force: true }),
      );
      await unlessCode(request, "docker/not-found", "docker/forbidden");
    }
    const removal = engine.call(`remove network ${ref}`, signal, (docker) =>
      docker.getNetwork(network.Id).remove({ abortSignal: signal }),
    );
    // A container that is just going away still holds its endpoint for a moment.
    const tolerated = attempt < 20 ? ["docker/not-found", "docker/forbidden"] : ["docker/not-found"];
    await unlessCode(removal, ...tolerated);
    if ((await inspectNetwork(engine, network.Id, signal)) === undefined) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** The engine refuses a network when it has no free range of addresses left; that can be mended. */
function addressFix(error: unknown): unknown {
  if (!(error instanceof FlowctlError) || error.code !== "docker/refused") return error;
  return new FlowctlError({
    code: error.code,
    kind: error.kind,
    message: error.message,
    fix: "check the driver and options of the network; if no address range is free, remove unused networks with `docker network prune`",
    cause: error,
  });
}

import type { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import type Dockerode from "dockerode";
import type { Pack } from "tar-stream";
import { hasCode } from "../../../foundation/errors.ts";
import { type Engine, unlessCode } from "../engine/engine.ts";
import { pipelineFilter } from "../resources/labels.ts";
import type { ContainerBody, NetworkAttachment } from "./container-spec.ts";

/** What the engine says of one container. */
export type ContainerDetail = Dockerode.ContainerInspectInfo;

/** Ids of the containers of a pipeline, or of all pipelines. */
export async function listContainers(
  engine: Engine,
  pipeline: string | undefined,
  signal: AbortSignal,
): Promise<readonly Dockerode.ContainerInfo[]> {
  return engine.call("list containers", signal, (docker) =>
    docker.listContainers({ all: true, filters: pipelineFilter(pipeline), abortSignal: signal }),
  );
}

/** Undefined when there is no such container. `ref` is an id or a name. */
export async function inspectContainer(
  engine: Engine,
  ref: string,
  signal: AbortSignal,
): Promise<ContainerDetail | undefined> {
  const request = engine.call(`inspect container ${ref}`, signal, (docker) =>
    docker.getContainer(ref).inspect({ abortSignal: signal }),
  );
  return unlessCode(request, "docker/not-found");
}

/** Makes a container, in all its networks, and returns its id. `docker/conflict` when the name is taken. */
export async function createContainer(
  engine: Engine,
  name: string,
  body: ContainerBody,
  networks: readonly NetworkAttachment[],
  signal: AbortSignal,
): Promise<string> {
  const [first, ...others] = networks;
  const endpoint = ({ aliases }: NetworkAttachment): object => ({ Aliases: [...aliases] });
  const request = {
    ...body,
    HostConfig: { ...body.HostConfig, ...(first === undefined ? {} : { NetworkMode: first.name }) },
    ...(first === undefined ? {} : { NetworkingConfig: { EndpointsConfig: { [first.name]: endpoint(first) } } }),
  };
  const container = await engine.call(`create container ${name}`, signal, (docker) =>
    // The body must not go into the URL, where the environment could be read.
    docker.createContainer({
      _query: { name },
      _body: request,
      abortSignal: signal,
    } as Dockerode.ContainerCreateOptions),
  );
  // Engines before API 1.44 take only one network at creation.
  for (const network of others) {
    await engine.call(`connect ${name} to network ${network.name}`, signal, (docker) =>
      docker.getNetwork(network.name).connect({ Container: container.id, EndpointConfig: endpoint(network) }),
    );
  }
  return container.id;
}

/** Extracts a tar archive into a container. */
export async function putArchive(
  engine: Engine,
  id: string,
  path: string,
  archive: Pack,
  signal: AbortSignal,
): Promise<void> {
  await engine.call(`copy files into container ${id}`, signal, (docker) =>
    docker.getContainer(id).putArchive(archive as unknown as NodeJS.ReadableStream, { path }),
  );
}

/** A file or folder of a container as a tar archive; undefined when it is not there. */
export async function getArchive(
  engine: Engine,
  id: string,
  path: string,
  signal: AbortSignal,
): Promise<Readable | undefined> {
  const request = engine.call(`read ${path} of container ${id}`, signal, (docker) =>
    docker.getContainer(id).getArchive({ path }),
  );
  return (await unlessGone(engine, id, signal, request)) as Readable | undefined;
}

/**
 * The answer to a request about a container; undefined when there is no such container or nothing at the path asked for.
 * An engine that is about to remove a container refuses whatever is asked of it, with any code, and knows it a little longer.
 */
export async function unlessGone<T>(
  engine: Engine,
  id: string,
  signal: AbortSignal,
  request: Promise<T>,
): Promise<T | undefined> {
  try {
    return await request;
  } catch (error) {
    if (hasCode(error, "docker/not-found")) return undefined;
    const refused = hasCode(error, "docker/refused") || hasCode(error, "docker/conflict");
    if (refused && isGone(await inspectContainer(engine, id, signal))) return undefined;
    throw error;
  }
}

function isGone(detail: ContainerDetail | undefined): boolean {
  return detail === undefined || detail.State.Dead || detail.State.Status === "removing";
}

/** What a file in a container is. */
export interface FileFacts {
  /** Permission bits. */
  readonly mode: number;
  readonly folder: boolean;
  /** A symbolic link, which is not followed. */
  readonly link: boolean;
}

/** The bits of the engine's file modes that say what a file is. */
const FOLDER_BIT = 2 ** 31;
const LINK_BIT = 2 ** 27;

/** What is at a path in a container, started or not; undefined when nothing is. */
export async function statInContainer(
  engine: Engine,
  id: string,
  path: string,
  signal: AbortSignal,
): Promise<FileFacts | undefined> {
  const request = engine.call(`look at ${path} of container ${id}`, signal, (docker) =>
    docker.getContainer(id).infoArchive({ path }),
  );
  const answer = (await unlessGone(engine, id, signal, request)) as IncomingMessage | undefined;
  // Its connection stays open until the answer, which has no body, is read.
  answer?.resume();
  const header = answer?.headers["x-docker-container-path-stat"];
  if (typeof header !== "string") return undefined;
  const { mode } = JSON.parse(Buffer.from(header, "base64").toString("utf8")) as { readonly mode: number };
  const has = (bit: number): boolean => Math.floor(mode / bit) % 2 === 1;
  return { mode: mode % 0o1000, folder: has(FOLDER_BIT), link: has(LINK_BIT) };
}

/** Starts it; one that runs is success. */
export async function startContainer(engine: Engine, id: string, signal: AbortSignal): Promise<void> {
  const request = engine.call(`start container ${id}`, signal, (docker) =>
    docker.getContainer(id).start({ abortSignal: signal }),
  );
  await unlessCode(request, "docker/not-modified");
}

/** Stops it within its grace period, or at once; one that is stopped or gone is success. */
export async function stopContainer(engine: Engine, id: string, force: boolean, signal: AbortSignal): Promise<void> {
  const options = { ...(force ? { t: 0 } : {}), abortSignal: signal };
  const request = engine.call(`stop container ${id}`, signal, (docker) => docker.getContainer(id).stop(options));
  await unlessCode(request, "docker/not-modified", "docker/not-found");
}

/** Stops it within its grace period, or at once, and starts it again. */
export async function restartContainer(engine: Engine, id: string, force: boolean, signal: AbortSignal): Promise<void> {
  const options = { ...(force ? { t: 0 } : {}), abortSignal: signal };
  await engine.call(`restart container ${id}`, signal, (docker) => docker.getContainer(id).restart(options));
}

/** Resumes it; one that is not paused is success. */
export async function unpauseContainer(engine: Engine, id: string, signal: AbortSignal): Promise<void> {
  const request = engine.call(`unpause container ${id}`, signal, (docker) => docker.getContainer(id).unpause());
  await unlessCode(request, "docker/not-found", "docker/conflict", "docker/refused");
}

/** Removes it whatever its state is, with its anonymous volumes, and returns when it is gone. */
export async function removeContainer(engine: Engine, id: string, signal: AbortSignal): Promise<void> {
  const remove = (...tolerated: readonly string[]): Promise<void> => {
    const request = engine.call(`remove container ${id}`, signal, (docker) =>
      docker.getContainer(id).remove({ v: true, force: true, abortSignal: signal }),
    );
    return unlessCode(request, "docker/not-found", ...tolerated);
  };
  // A conflict says that another client is removing it now.
  await remove("docker/conflict");
  for (let waited = 0; (await inspectContainer(engine, id, signal)) !== undefined; waited += 50) {
    // Asked once more, so that the engine says why.
    if (waited > 10_000) await remove();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

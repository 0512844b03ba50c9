import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { FlowctlError } from "../../../foundation/errors.ts";
import type { Build } from "../../../pipeline/pipeline.ts";
import type { PrepareOptions } from "../../driver.ts";
import type { Engine } from "../engine/engine.ts";
import { inspectImage, pullImage } from "../image/images.ts";
import { type DockerClientConfig, registryCredentials } from "../image/registry-auth.ts";
import { runBuild } from "./build.ts";
import { buildContext } from "./build-context.ts";
import { baseImages } from "./dockerfile-bases.ts";

/** Name of an image that is built for a component or service without an `image` of its own. */
export function builtImageName(pipeline: string, owner: string): string {
  return `${pipeline}-${owner}`.toLowerCase();
}

const INLINE_DOCKERFILE = ".flowctl.dockerfile";

/** Builds an image as the file's `build` says, tagged `reference`. */
export async function buildComponentImage(
  engine: Engine,
  reference: string,
  build: Build,
  clientConfig: DockerClientConfig,
  { progress, signal }: Pick<PrepareOptions, "progress" | "signal">,
): Promise<void> {
  const subject = `image/${reference}`;
  progress({ subject, status: "working", text: "Building" });
  try {
    const dockerfile = build.dockerfile ?? "Dockerfile";
    const text = build.dockerfileInline ?? (await readDockerfile(build.context, dockerfile));
    await pullBases(engine, text, build, clientConfig, { progress, signal });
    const context = await buildContext(build.context, {
      dockerfile,
      ...(build.dockerfileInline === undefined ? {} : { extra: { [INLINE_DOCKERFILE]: build.dockerfileInline } }),
    });
    await runBuild(engine, context, {
      tags: [reference],
      args: build.args,
      labels: build.labels,
      dockerfile: build.dockerfileInline === undefined ? dockerfile : INLINE_DOCKERFILE,
      ...(build.target === undefined ? {} : { target: build.target }),
      cacheFrom: build.cacheFrom,
      noCache: build.noCache,
      ...(build.network === undefined ? {} : { network: build.network }),
      subject,
      progress,
      signal,
    });
  } catch (error) {
    progress({ subject, status: "failed", text: "Build failed" });
    throw error;
  }
  progress({ subject, status: "done", text: "Built" });
}

/**
 * Base images of registries that want a login are pulled beforehand, each with the credentials of its own registry: the
 * builder then finds them on the engine, and no credentials go into the build.
 */
async function pullBases(
  engine: Engine,
  dockerfile: string,
  build: Build,
  clientConfig: DockerClientConfig,
  { progress, signal }: Pick<PrepareOptions, "progress" | "signal">,
): Promise<void> {
  for (const base of baseImages(dockerfile, build.args)) {
    const credentials = await registryCredentials(clientConfig, base, signal);
    if (credentials === undefined && !build.pull) continue;
    if (build.pull || (await inspectImage(engine, base, signal)) === undefined) {
      await pullImage(engine, base, credentials, progress, signal);
    }
  }
}

async function readDockerfile(context: string, dockerfile: string): Promise<string> {
  try {
    return await readFile(join(context, dockerfile), "utf8");
  } catch (cause) {
    throw new FlowctlError({
      code: "docker/no-dockerfile",
      kind: "not-found",
      message: `${context} has no ${dockerfile}`,
      fix: "add one, or set `build.dockerfile`",
      cause,
    });
  }
}

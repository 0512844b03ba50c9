import type { Readable } from "node:stream";
import type Dockerode from "dockerode";
import { FlowctlError } from "../../../foundation/errors.ts";
import type { ProgressSink } from "../../driver.ts";
import type { ImageFacts } from "../container/container-spec.ts";
import { type Engine, engineError, unlessCode } from "../engine/engine.ts";
import { jsonLines } from "../engine/json-lines.ts";
import type { RegistryCredentials } from "./registry-auth.ts";

/** Undefined when the engine does not have it. */
export async function inspectImage(
  engine: Engine,
  reference: string,
  signal: AbortSignal,
): Promise<Dockerode.ImageInspectInfo | undefined> {
  const request = engine.call(`inspect image ${reference}`, signal, (docker) =>
    docker.getImage(reference).inspect({ abortSignal: signal } as object),
  );
  return unlessCode(request, "docker/not-found");
}

/** What the driver needs to know of an image. */
export function imageFacts(reference: string, image: Dockerode.ImageInspectInfo | undefined): ImageFacts {
  const config = image?.Config as
    | (Dockerode.ImageInspectInfo["Config"] & { Healthcheck?: { Test?: string[] } | null })
    | undefined;
  const test = config?.Healthcheck?.Test;
  return {
    name: reference,
    reference: image?.Id ?? reference,
    user: config?.User ?? "",
    volumes: Object.keys(config?.Volumes ?? {}),
    healthcheck: test !== undefined && test.length > 0 && test[0] !== "NONE",
  };
}

interface PullItem {
  readonly id?: string;
  readonly status?: string;
  readonly error?: string;
  readonly progressDetail?: { readonly current?: number; readonly total?: number };
}

/** Pulls an image. Throws `docker/pull-failed`, and `docker/denied` where the registry wants other credentials. */
export async function pullImage(
  engine: Engine,
  reference: string,
  credentials: RegistryCredentials | undefined,
  progress: ProgressSink,
  signal: AbortSignal,
): Promise<void> {
  const subject = `image/${reference}`;
  progress({ subject, status: "working", text: "Pulling" });
  try {
    const stream = await engine.call(`pull ${reference}`, signal, (docker) =>
      docker.createImage((credentials as object | undefined) ?? {}, {
        ...splitReference(reference),
        abortSignal: signal,
      }),
    );
    await followPull(
      stream as Readable,
      engine,
      reference,
      (fraction) => progress({ subject, status: "working", text: "Pulling", fraction }),
      signal,
    );
  } catch (error) {
    progress({ subject, status: "failed", text: "Pull failed" });
    throw pullError(error, reference, credentials !== undefined);
  }
  progress({ subject, status: "done", text: "Pulled" });
}

async function followPull(
  stream: Readable,
  engine: Engine,
  reference: string,
  report: (fraction: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const layers = new Map<string, { current: number; total: number }>();
  try {
    for await (const item of jsonLines<PullItem>(stream)) {
      if (item.error !== undefined) throw pullError(new Error(item.error), reference, false);
      const { current = 0, total = 0 } = item.progressDetail ?? {};
      if (item.id === undefined || total === 0 || item.status !== "Downloading") continue;
      layers.set(item.id, { current, total });
      const sum = [...layers.values()].reduce((all, layer) => ({
        current: all.current + layer.current,
        total: all.total + layer.total,
      }));
      report(Math.min(1, sum.current / sum.total));
    }
  } catch (error) {
    throw engineError(error, `pull ${reference}`, engine.endpoint, signal);
  }
}

function pullError(error: unknown, reference: string, authenticated: boolean): FlowctlError {
  if (error instanceof FlowctlError && ["cancelled", "unavailable"].includes(error.kind)) return error;
  if (error instanceof FlowctlError && error.code === "docker/pull-failed") return error;
  return new FlowctlError({
    code: "docker/pull-failed",
    kind: "unavailable",
    message: `cannot pull ${reference}: ${error instanceof Error ? error.message : String(error)}`,
    fix: authenticated
      ? "check the name and tag, and that the credentials from `docker login` are still valid"
      : "check the name and tag; for a private registry, run `docker login` first",
    cause: error,
  });
}

/** The engine takes the tag apart from the name; without one it would pull every tag. */
function splitReference(reference: string): { fromImage: string; tag: string } {
  const digest = reference.indexOf("@");
  if (digest >= 0) return { fromImage: reference.slice(0, digest), tag: reference.slice(digest + 1) };
  const colon = reference.indexOf(":", reference.lastIndexOf("/") + 1);
  return colon < 0
    ? { fromImage: reference, tag: "latest" }
    : { fromImage: reference.slice(0, colon), tag: reference.slice(colon + 1) };
}

/** Makes an image of a root file system, given as a tar stream. */
export async function importImage(
  engine: Engine,
  archive: NodeJS.ReadableStream,
  name: { readonly repo: string; readonly tag: string },
  changes: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const what = `import ${name.repo}:${name.tag}`;
  const stream = await engine.call(what, signal, (docker) =>
    docker.importImage(archive, { ...name, changes: [...changes], abortSignal: signal }),
  );
  try {
    for await (const item of jsonLines<{ readonly error?: string }>(stream as Readable)) {
      if (item.error === undefined) continue;
      throw new FlowctlError({ code: "docker/import-failed", kind: "failed", message: `${what}: ${item.error}` });
    }
  } catch (error) {
    throw engineError(error, what, engine.endpoint, signal);
  }
}

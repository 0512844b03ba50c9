import type { Readable } from "node:stream";
import { FlowctlError } from "../../../foundation/errors.ts";
import type { ProgressSink } from "../../driver.ts";
import { type Engine, engineError } from "../engine/engine.ts";
import { jsonLines } from "../engine/json-lines.ts";
import { decodeTrace } from "./buildkit-trace.ts";

export interface BuildRequest {
  readonly tags: readonly string[];
  readonly args: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** Path of the Dockerfile in the context. */
  readonly dockerfile?: string;
  readonly target?: string;
  readonly cacheFrom?: readonly string[];
  readonly noCache?: boolean;
  readonly network?: string;
  readonly extraHosts?: readonly string[];
  /** What progress is about. */
  readonly subject: string;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
}

interface BuildItem {
  readonly id?: string;
  readonly aux?: unknown;
  readonly error?: string;
  readonly stream?: string;
}

/** Lines of output that an error shows. */
const SHOWN_LINES = 25;

/**
 * Builds an image by BuildKit from a context, given as a tar stream, and returns its id. Throws `docker/build-failed`
 * with the last lines of what the failing step printed.
 */
export async function runBuild(
  engine: Engine,
  context: NodeJS.ReadableStream,
  request: BuildRequest,
): Promise<string | undefined> {
  const { subject, progress, signal } = request;
  const what = `build ${subject.replace(/^image\//, "")}`;
  const output = new BuildOutput();
  let id: string | undefined;
  try {
    const stream = await engine.call(what, signal, () => startBuild(engine, context, request));
    for await (const item of jsonLines<BuildItem>(stream)) {
      if (item.id === "moby.buildkit.trace" && typeof item.aux === "string") {
        const step = output.add(item.aux);
        if (step !== undefined) progress({ subject, status: "working", text: step });
      } else if (item.id === "moby.image.id") {
        id = (item.aux as { readonly ID?: string }).ID;
      } else if (item.error !== undefined) {
        throw buildFailed(what, item.error, output);
      }
    }
  } catch (error) {
    if (error instanceof FlowctlError && error.code === "docker/refused")
      throw buildFailed(what, error.message, output);
    throw engineError(error, what, engine.endpoint, signal);
  }
  return id;
}

function startBuild(engine: Engine, context: NodeJS.ReadableStream, request: BuildRequest): Promise<Readable> {
  const options = {
    version: "2",
    t: request.tags,
    buildargs: request.args,
    labels: request.labels,
    rm: true,
    forcerm: true,
    ...(request.dockerfile === undefined ? {} : { dockerfile: request.dockerfile }),
    ...(request.target === undefined ? {} : { target: request.target }),
    ...(request.cacheFrom?.length ? { cachefrom: JSON.stringify(request.cacheFrom) } : {}),
    ...(request.noCache ? { nocache: true } : {}),
    ...(request.network === undefined ? {} : { networkmode: request.network }),
  };
  // dockerode's buildImage opens a session that hands one registry's credentials to every registry that asks.
  return new Promise((resolve, reject) => {
    engine.docker.modem.dial(
      {
        path: "/build?",
        method: "POST",
        file: context,
        options,
        isStream: true,
        abortSignal: request.signal,
        statusCodes: { 200: true, 400: "bad parameter", 500: "server error" },
      },
      (error: unknown, stream: unknown) => (error ? reject(error) : resolve(stream as Readable)),
    );
  });
}

/** What a build printed, by step. */
class BuildOutput {
  readonly #names = new Map<string, string>();
  readonly #lines: string[] = [];
  #failed: string | undefined;

  /** Takes one trace record in; returns the name of a step that just began. */
  add(record: string): string | undefined {
    let begun: string | undefined;
    const trace = decodeTrace(Buffer.from(record, "base64"));
    for (const step of trace.steps) {
      if (!this.#names.has(step.digest) && step.started && !step.name.startsWith("[internal]")) begun = step.name;
      if (step.started) this.#names.set(step.digest, step.name);
      if (step.error !== "") this.#failed = step.name;
    }
    for (const { text } of trace.logs) {
      this.#lines.push(...text.split("\n").filter((line) => line.trim() !== ""));
      this.#lines.splice(0, Math.max(0, this.#lines.length - SHOWN_LINES));
    }
    return begun;
  }

  get failedStep(): string | undefined {
    return this.#failed;
  }

  get tail(): string {
    return this.#lines.map((line) => `\n  ${line}`).join("");
  }
}

function buildFailed(what: string, said: string, output: BuildOutput): FlowctlError {
  const step = output.failedStep === undefined ? "" : ` at ${output.failedStep}`;
  return new FlowctlError({
    code: "docker/build-failed",
    kind: "failed",
    message: `${what} failed${step}: ${said.trim()}${output.tail}`,
    fix: "fix the Dockerfile or the build context; run `docker build` on the same folder for the full output",
  });
}

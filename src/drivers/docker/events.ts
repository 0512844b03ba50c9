import type { Readable } from "node:stream";
import { FlowctlError } from "../../foundation/errors.ts";
import type { DriverEvent } from "../driver.ts";
import { inspectContainer } from "./container/containers.ts";
import { type Engine, engineError } from "./engine/engine.ts";
import { jsonLines } from "./engine/json-lines.ts";
import { pipelineFilter, readLabels } from "./resources/labels.ts";

/** What the engine says about one container. */
export interface EngineEvent {
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> };
  readonly timeNano: number;
}

/**
 * The engine's events about a pipeline's containers, without the noise of health checks. Connects when it is first
 * read, and begins with what happened since `since` (Unix milliseconds of the engine's clock), or from then on. Ends only by an error: kind `cancelled` by the signal, `docker/stream-ended` when the engine hangs up.
 */
export async function* engineEvents(
  engine: Engine,
  pipeline: string,
  signal: AbortSignal,
  options: { readonly connected?: () => void; readonly since?: number } = {},
): AsyncGenerator<EngineEvent> {
  const what = `watch ${pipeline}`;
  const since = options.since === undefined ? {} : { since: (options.since / 1000).toFixed(3) };
  const filters = {
    ...pipelineFilter(pipeline),
    type: ["container"],
    event: ["start", "die", "oom", "health_status", "destroy"],
  };
  try {
    const stream = await engine.call(what, signal, (docker) =>
      docker.getEvents({ ...since, filters, abortSignal: signal } as object),
    );
    options.connected?.();
    yield* jsonLines<EngineEvent>(stream as Readable);
  } catch (error) {
    throw engineError(error, what, engine.endpoint, signal);
  }
  throw streamEnded(what);
}

/** A stream that is to go on for ever has ended: the engine went away. */
export function streamEnded(what: string): FlowctlError {
  return new FlowctlError({
    code: "docker/stream-ended",
    kind: "unavailable",
    message: `${what}: the Docker engine closed the stream`,
    fix: "start Docker if it was stopped: `sudo systemctl start docker`",
  });
}

/**
 * What happens to a pipeline's instances, in the driver's terms; see `Driver.events`. What happens while the connection is made counts,
 * where both sides have the `sameClock`.
 */
export async function* driverEvents(
  engine: Engine,
  pipeline: string,
  signal: AbortSignal,
  sameClock = engine.local,
): AsyncGenerator<DriverEvent> {
  const starved = new Set<string>();
  const since = sameClock ? { since: Date.now() } : {};
  try {
    for await (const event of engineEvents(engine, pipeline, signal, since)) {
      const { ID, Attributes } = event.Actor;
      const { key, pipeline: of } = readLabels(Attributes) ?? {};
      if (key === undefined || of !== pipeline) continue;
      const common = { key, time: Math.floor(event.timeNano / 1e6) };
      if (event.Action === "oom") starved.add(ID);
      else if (event.Action === "start") yield { type: "started", ...common };
      else if (event.Action === "destroy") yield { type: "removed", ...common };
      else if (event.Action === "die") {
        const oomKilled = starved.delete(ID);
        // The engine decides about the restart before it tells of the death.
        const state = (await inspectContainer(engine, ID, signal))?.State;
        const willRestart = state !== undefined && (state.Restarting || state.Running);
        const exitCode = Number(Attributes.exitCode ?? 0);
        yield { type: "exited", ...common, exitCode, oomKilled, willRestart };
      } else if (event.Action === "health_status: healthy") yield { type: "health", ...common, health: "healthy" };
      else if (event.Action === "health_status: unhealthy") yield { type: "health", ...common, health: "unhealthy" };
    }
  } catch (error) {
    if (signal.aborted) return;
    throw error;
  }
}

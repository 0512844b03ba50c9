import { status } from "@grpc/grpc-js";
import { cancelled } from "../../../foundation/clock.ts";
import { FlowctlError, hasCode } from "../../../foundation/errors.ts";
import { fromServiceError, isServiceError } from "../../../protocol/grpc-errors.ts";
import type { Driver, LogLine, ObservedResource } from "../../driver.ts";
import { openChannel, type SocketChannel } from "../../socket-channel.ts";
import { DOCKER_CAPABILITIES } from "../capabilities.ts";
import { containerCodec, eventCodec, instanceCodec, orderCodec, type SeenContainer } from "./engine-access-codec.ts";
import { engineAccessService } from "./engine-access-messages.ts";

/** The part of the Docker driver that supervises, for whoever has no engine, only the way to one pipeline's containers. */
export interface EngineAccessDriver extends Pick<Driver, "capabilities" | "observe" | "apply" | "events" | "logs"> {
  close(): void;
}

/** Code of the error when the engine access does not answer. */
export const NO_ENGINE_ACCESS = "docker/no-engine-access";

const options = {
  // It is back a moment after it was killed.
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 2_000,
  // One that hangs is noticed, whatever waits for it.
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 10_000,
} as const;

/**
 * Speaks with the engine access of a pipeline, which alone decides which pipeline that is: the name in calls is passed over. What is
 * observed has no hash and no reference, as only the engine access has use for them. Logs are the last line alone, of what is selected by
 * instance id. Connects at the first call; rejects with NO_ENGINE_ACCESS while it is away, and with what it threw.
 */
export function engineAccessDriver(socketPath: string): EngineAccessDriver {
  const channel = openChannel(socketPath, options);
  const { observe, apply, watchEvents } = engineAccessService;
  const explained = (error: unknown, signal: AbortSignal): unknown => {
    if (signal.aborted) return cancelled(signal);
    if (!isServiceError(error)) return error;
    const told = fromServiceError(error, socketPath);
    return hasCode(told, "client/unreachable") || error.code === status.CANCELLED ? away(error) : told;
  };
  const unary: SocketChannel["unary"] = (method, message, signal) => {
    if (signal.aborted) return Promise.reject(cancelled(signal));
    return channel.unary(method, message, signal).catch((error: unknown) => {
      throw explained(error, signal);
    });
  };
  return {
    capabilities: DOCKER_CAPABILITIES,
    async observe(_pipeline, signal) {
      const { containers } = await unary(observe, {}, signal);
      return containers.map((container) => observed(containerCodec.fromMessage(container)));
    },
    async apply(change, { signal, force = false }) {
      const { action } = change;
      if (action !== "start" && action !== "stop" && action !== "restart") throw notOffered(action);
      const keepSecrets = action === "stop" && change.keepSecrets === true;
      const order = { action, instance: change.observed, keepSecrets, force };
      await unary(apply, orderCodec.toMessage(order), signal);
    },
    async *events(_pipeline, signal) {
      try {
        for await (const message of channel.stream(watchEvents, {}, signal, () => undefined)) {
          const event = eventCodec.fromMessage(message);
          if (event !== undefined) yield event;
        }
      } catch (error) {
        if (signal.aborted) return;
        throw explained(error, signal);
      }
      if (!signal.aborted) throw away(undefined);
    },
    async *logs(_pipeline, { select }, signal): AsyncGenerator<LogLine> {
      for (const id of select) {
        for (const kind of ["component", "service"] as const) {
          const line = await lastLine(unary, kind, id, signal);
          if (line !== undefined) yield line;
        }
      }
    },
    close: () => channel.close(),
  };
}

/** Undefined for what is not there. */
async function lastLine(
  unary: SocketChannel["unary"],
  kind: "component" | "service",
  id: string,
  signal: AbortSignal,
): Promise<LogLine | undefined> {
  const dash = id.lastIndexOf("-");
  const [owner, index] = [id.slice(0, dash), Number(id.slice(dash + 1))];
  try {
    const instance = instanceCodec.toMessage({ kind, owner, index });
    const { text } = await unary(engineAccessService.readLastLine, { instance }, signal);
    return text === "" ? undefined : { instance: id, owner, stream: "stderr", time: 0, text };
  } catch (error) {
    if (hasCode(error, "docker/not-found")) return undefined;
    throw error;
  }
}

function observed(seen: SeenContainer): ObservedResource {
  const { key } = seen;
  return { ...seen, hash: "", parts: {}, ref: "", name: key.slice(key.indexOf("/") + 1), ports: [] };
}

function away(cause: unknown): FlowctlError {
  return new FlowctlError({
    code: NO_ENGINE_ACCESS,
    kind: "unavailable",
    message: "the engine access of the pipeline is not running",
    cause,
  });
}

function notOffered(action: string): FlowctlError {
  const message = `the engine access cannot ${action} anything`;
  return new FlowctlError({ code: "docker/bad-request", kind: "invalid", message });
}

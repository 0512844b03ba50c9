import { definitionOf } from "../../../protocol/service-methods.ts";
import { socketCalls } from "../../socket-calls.ts";
import { clearSocket, closeServer, createSocketServer, listenPrivately } from "../../socket-server.ts";
import type { EngineAccess } from "./engine-access.ts";
import { containerCodec, eventCodec, instanceCodec, orderCodec } from "./engine-access-codec.ts";
import { engineAccessService } from "./engine-access-messages.ts";

/** A request names one instance: it may have so many bytes. */
const MAX_REQUEST_BYTES = 4 * 1024;

/** Calls of one connection at once: as many as a pipeline has instances that all fail, with room. */
const MAX_CALLS = 512;

/** What Node.js may keep for one connection, as by default; grpc-js would lift that. */
const MAX_SESSION_MB = 10;

const limits = {
  "grpc.max_receive_message_length": MAX_REQUEST_BYTES,
  "grpc.max_concurrent_streams": MAX_CALLS,
  "grpc-node.max_session_memory": MAX_SESSION_MB,
} as const;

const { one, answers } = socketCalls({
  code: "docker/engine-access-defect",
  kind: "internal",
  message: "The engine access failed",
});

export interface EngineAccessServer {
  /** Takes no more requests; streams end at once, and what is under way shortly. */
  close(): Promise<void>;
}

/** Serves on a Unix socket, in place of what lies there. Rejects where it cannot listen. */
export async function serveEngineAccess(socketPath: string, access: EngineAccess): Promise<EngineAccessServer> {
  const stopping = new AbortController();
  const server = createSocketServer(limits);
  const { observe, apply, watchEvents, readLastLine } = engineAccessService;
  server.addService(definitionOf(engineAccessService), {
    Observe: one(observe, async (_, signal) => ({
      containers: (await access.observe(signal)).map(containerCodec.toMessage),
    })),
    Apply: one(apply, async (message, signal) => {
      await access.apply(orderCodec.fromMessage(message), signal);
      return {};
    }),
    WatchEvents: answers(
      watchEvents,
      async function* (_, signal) {
        for await (const event of access.events(signal)) yield eventCodec.toMessage(event);
      },
      stopping.signal,
    ),
    ReadLastLine: one(readLastLine, async ({ instance }, signal) => ({
      text: await access.lastLine(instanceCodec.fromMessage(instance), signal),
    })),
  });
  clearSocket(socketPath);
  await listenPrivately(server, socketPath);
  return {
    async close() {
      server.unbind(`unix:${socketPath}`);
      stopping.abort();
      await closeServer(server);
    },
  };
}

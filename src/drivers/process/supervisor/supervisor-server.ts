import { FlowctlError } from "../../../foundation/errors.ts";
import { definitionOf } from "../../../protocol/service-methods.ts";
import type { DriverEvent } from "../../driver.ts";
import { socketCalls } from "../../socket-calls.ts";
import { clearSocket, closeServer, createSocketServer, listenPrivately } from "../../socket-server.ts";
import { assertPrivateSocket } from "./private-socket.ts";
import type { SupervisorSocket } from "./protocol-version.ts";
import { applyCodec, type Ending, endingOf, eventCodec, type InstanceOrder } from "./supervisor-codec.ts";
import { MAX_REQUEST_BYTES, supervisorService } from "./supervisor-messages.ts";

/** Who a supervisor is, and where its control plane is. */
export interface SupervisorHello {
  /** Of flowctl. */
  readonly version: string;
  readonly pid: number;
  /** `host:port`. */
  readonly grpc: string;
  /** Base URL. */
  readonly http: string;
  /** Everybody who dials needs a certificate of the pipeline's authority. */
  readonly secure: boolean;
}

/** What commands ask of a supervisor. Signals fire when the command is gone, or has broken off. */
export interface SupervisorRequests {
  hello(): SupervisorHello | Promise<SupervisorHello>;
  apply(order: InstanceOrder, signal: AbortSignal): Promise<void>;
  /** What happens from `since` (Unix milliseconds) on; without end. */
  events(since: number, signal: AbortSignal): AsyncIterable<DriverEvent>;
  /** Resolves when everything that the supervisor does is over. */
  shutdown(instances: Ending, signal: AbortSignal): Promise<void>;
}

export interface SupervisorServer {
  /** Removes the socket and takes no more requests; those that are under way go on. */
  refuse(): void;
  /** Ends what is under way: streams at once, the rest shortly. */
  close(): Promise<void>;
}

const { one, answers } = socketCalls({
  code: "process/supervisor-defect",
  kind: "internal",
  message: "The supervisor failed",
});

/**
 * Serves on the supervisor's unix socket, which only its user may open. Whoever calls this holds the pipeline's
 * lock, so that a socket file which is there already is a dead one's.
 */
export async function serveSupervisor(
  { socket }: SupervisorSocket,
  requests: SupervisorRequests,
): Promise<SupervisorServer> {
  const stopping = new AbortController();
  const server = createSocketServer({ "grpc.max_receive_message_length": MAX_REQUEST_BYTES });
  server.addService(definitionOf(supervisorService), {
    Hello: one(supervisorService.hello, () => requests.hello()),
    Apply: one(supervisorService.apply, async (message, signal) => {
      await requests.apply(applyCodec.fromMessage(message), signal);
      return {};
    }),
    WatchEvents: answers(
      supervisorService.watchEvents,
      async function* ({ since }, signal) {
        for await (const event of requests.events(since, signal)) yield eventCodec.toMessage(event);
      },
      stopping.signal,
    ),
    Shutdown: one(supervisorService.shutdown, async ({ instances }, signal) => {
      await requests.shutdown(endingOf(instances), signal);
      return {};
    }),
  });
  clearSocket(socket, assertPrivateSocket);
  await listening(listenPrivately(server, socket), socket);
  const refuse = (): void => {
    // Whoever is connected is told to ask nothing more.
    server.unbind(`unix:${socket}`);
  };
  return {
    refuse,
    async close() {
      refuse();
      stopping.abort();
      await closeServer(server);
    },
  };
}

/** Rejects with `process/no-socket`. */
async function listening(work: Promise<void>, path: string): Promise<void> {
  try {
    await work;
  } catch (error) {
    throw FlowctlError.wrap(error, {
      code: "process/no-socket",
      kind: "unavailable",
      message: `Cannot listen on ${path}`,
      fix: "Set FLOWCTL_HOME to a folder on a local file system",
    });
  }
}

import { once } from "node:events";
import { Client, credentials, Metadata, Server, ServerCredentials, type ServerWritableStream } from "@grpc/grpc-js";
import { runBare } from "./bare-roles.ts";
import { readSettings } from "./settings.ts";

/** The same over gRPC as flowctl uses it, the receiver dialling, and nothing but batches that go down the call. */
const { listen, upstream } = readSettings();
const PATH = "/bench.v1.Bare/Receive";
const WINDOW = 4 * 1024 * 1024;

await runBare({
  async serve() {
    const server = new Server();
    const connected = new Promise<ServerWritableStream<Buffer, Buffer>>((resolve) => {
      server.addService(
        {
          Receive: {
            path: PATH,
            requestStream: false,
            responseStream: true,
            requestSerialize: same,
            requestDeserialize: same,
            responseSerialize: same,
            responseDeserialize: same,
          },
        },
        { Receive: resolve },
      );
    });
    await new Promise<void>((resolve, reject) =>
      server.bindAsync(listen, ServerCredentials.createInsecure(), (error) => (error ? reject(error) : resolve())),
    );
    const call = await connected;
    return { send: (message) => call.write(message), drained: () => once(call, "drain") };
  },
  async receive(onMessage) {
    const client = new Client(upstream, credentials.createInsecure(), {
      "grpc-node.flow_control_window": WINDOW,
      "grpc.initial_reconnect_backoff_ms": 50,
      "grpc.max_reconnect_backoff_ms": 200,
    });
    await new Promise<void>((resolve, reject) =>
      client.waitForReady(Date.now() + 60_000, (error) => (error ? reject(error) : resolve())),
    );
    const call = client.makeServerStreamRequest<Buffer, Buffer>(PATH, same, same, Buffer.alloc(0), new Metadata());
    call.on("data", (message: Buffer) => {
      const busy = onMessage(message);
      if (busy === undefined) return;
      call.pause();
      void busy.then(() => call.resume());
    });
    call.on("error", () => process.exit(0));
    await once(call, "end");
  },
});

function same(message: Buffer): Buffer {
  return message;
}

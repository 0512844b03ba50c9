import { connect, createServer, type Socket } from "node:net";
import { Client, credentials } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { clientChannelOptions } from "../protocol/channel-options.ts";
import { startGrpcServer } from "./grpc-server.ts";

/** Far more than the operating system takes for a peer that does not read, and what a client may ask for at once. */
const WINDOW = 64 * 1024 * 1024;
const LARGE = "x".repeat(15 * 1024 * 1024);

/** A way to a server on which, from its first large answer on, nothing is read any more: as a peer that has vanished. */
async function deadEnd(port: number) {
  const sockets: Socket[] = [];
  let stuck = (): void => undefined;
  const full = new Promise<void>((resolve) => {
    stuck = resolve;
  });
  const server = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    sockets.push(near, far);
    for (const socket of [near, far]) socket.on("error", () => undefined);
    near.pipe(far);
    far.on("data", (data) => {
      if (data.length < 10_000) return void near.write(data);
      far.pause();
      stuck();
    });
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const address = server.address();
  const own = typeof address === "object" && address !== null ? address.port : 0;
  return {
    address: `127.0.0.1:${own}`,
    full,
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

describe("the gRPC server of the control plane", () => {
  it("closes although a peer has vanished with an answer stuck on the way", async () => {
    const server = await startGrpcServer("127.0.0.1:0", {
      "flowctl.control.v1.PipelineControl": {
        GetPipeline: (_call: unknown, answer: (error: null, message: unknown) => void) => answer(null, { name: LARGE }),
      },
    });
    const way = await deadEnd(Number(server.address.split(":")[1]));
    const client = new Client(way.address, credentials.createInsecure(), {
      ...clientChannelOptions(),
      "grpc-node.flow_control_window": WINDOW,
    });
    const same = (bytes: Buffer): Buffer => bytes;
    for (let call = 0; call < 3; call++) {
      client.makeUnaryRequest(
        "/flowctl.control.v1.PipelineControl/GetPipeline",
        same,
        same,
        Buffer.alloc(0),
        () => undefined,
      );
    }
    try {
      await way.full;
      await expect(server.close()).resolves.toBeUndefined();
    } finally {
      client.close();
      way.close();
    }
  });
});

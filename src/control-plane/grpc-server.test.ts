import { Client, credentials } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { startDeadEnd } from "../foundation/dead-end.fake.ts";
import { clientChannelOptions } from "../protocol/channel-options.ts";
import { startGrpcServer } from "./grpc-server.ts";

/** Far more than the operating system takes for a peer that does not read, and what a client may ask for at once. */
const WINDOW = 64 * 1024 * 1024;
const LARGE = "x".repeat(15 * 1024 * 1024);

describe("the gRPC server of the control plane", () => {
  it("closes although a peer has vanished with an answer stuck on the way", async () => {
    const server = await startGrpcServer("127.0.0.1:0", {
      "flowctl.control.v1.PipelineControl": {
        GetPipeline: (_call: unknown, answer: (error: null, message: unknown) => void) => answer(null, { name: LARGE }),
      },
    });
    const way = await startDeadEnd(Number(server.address.split(":")[1]));
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

import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { expect, it } from "vitest";
import { startDeadEnd } from "../../src/foundation/dead-end.fake.ts";
import { silentLogger } from "../../src/foundation/logger.ts";
import { EventEncoder } from "../../src/protocol/event-encoder.ts";
import { encodeRequest, SUBSCRIBE_PATH } from "../../src/protocol/stream-codec.ts";
import { serveEventStream } from "../../src/streams/sending/event-stream-server.ts";
import { Outlet } from "../../src/streams/sending/outlet.ts";

const same = (buffer: Buffer): Buffer => buffer;

it("the server of event streams closes by itself after a peer has vanished with events stuck on the way", async () => {
  const outlet = new Outlet({ folder: "/nonexistent", onFailure: () => undefined });
  outlet.setGroups([{ componentId: "down", types: [], partitionBy: "", desiredInstances: 1, deadLetters: false }]);
  const server = await serveEventStream({
    listen: "127.0.0.1:0",
    ...{ pipeline: "p", componentId: "up", instanceId: "up-1" },
    publisher: outlet,
    log: silentLogger,
  });
  const way = await startDeadEnd(server.port);
  const client = new Client(way.address, credentials.createInsecure(), {
    "grpc-node.flow_control_window": 64 * 1024 * 1024,
    "grpc.max_receive_message_length": -1,
    "grpc.use_local_subchannel_pool": 1,
  });
  const call = client.makeBidiStreamRequest(SUBSCRIBE_PATH, same, same, new Metadata());
  call.on("error", () => undefined);
  const credit = { maxSequence: 1_000_000, maxBytes: 1e12 };
  const open = { pipeline: "p", group: "down", instanceId: "down-1", types: [], credit, upstreamInstance: "" };
  call.write(encodeRequest({ kind: "open", open }));
  const encoder = new EventEncoder();
  for (let n = 1; n <= 3; n++) {
    const view = encoder.encode({
      id: `n-${n}`,
      type: "t",
      payload: "x".repeat(15 * 1024 * 1024),
      metadata: undefined,
      timestamp: undefined,
      sourceComponentId: "up",
      contentType: "",
    });
    outlet.publish(view, { settle: () => undefined });
  }
  try {
    await way.full;
    // Keepalive finds out, after 10 s and 5 s.
    while (outlet.connected > 0) await new Promise((resolve) => setTimeout(resolve, 20));
    await expect(server.close(new AbortController().signal)).resolves.toBeUndefined();
  } finally {
    client.close();
    way.close();
    await server.close(AbortSignal.abort());
    await outlet.close();
  }
}, 30_000);

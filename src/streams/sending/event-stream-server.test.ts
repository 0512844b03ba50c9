import { Client, credentials, Metadata, Server, ServerCredentials, type ServiceError, status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import type { FlowctlError } from "../../foundation/errors.ts";
import { silentLogger } from "../../foundation/logger.ts";
import { fromServiceError } from "../../protocol/grpc-errors.ts";
import { encodeRequest, SUBSCRIBE_PATH } from "../../protocol/stream-codec.ts";
import {
  type EventStreamServer,
  eventStreamDefinition,
  eventStreamService,
  serveEventStream,
} from "./event-stream-server.ts";
import { Outlet } from "./outlet.ts";
import { event } from "./publisher-world.fake.ts";

describe("the server of event streams", () => {
  it("opens no stream that it refuses", async () => {
    const outlet = new Outlet({ folder: "/nonexistent", onFailure: () => undefined });
    const server = await serve(outlet);
    const client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure());
    const open = { pipeline: "p", group: "down", instanceId: "down-1", types: [], upstreamInstance: "up-1" };
    const asked = async (): Promise<{ messages: number; code: number }> => {
      const call = client.makeBidiStreamRequest(SUBSCRIBE_PATH, same, same, new Metadata());
      let messages = 0;
      call.on("data", () => messages++);
      call.write(encodeRequest({ kind: "open", open: { ...open, credit: { maxSequence: 1, maxBytes: 1 } } }));
      const { code } = await new Promise<ServiceError>((resolve) => call.once("error", resolve));
      return { messages, code };
    };
    try {
      // Before the topology is known, and where it has no such group.
      expect(await asked()).toEqual({ messages: 0, code: status.UNAVAILABLE });
      outlet.setGroups([]);
      expect(await asked()).toEqual({ messages: 0, code: status.NOT_FOUND });
    } finally {
      client.close();
      await server.close(AbortSignal.abort());
      await outlet.close();
    }
  });

  it("refuses streams while there is nobody whose they could be", async () => {
    const server = new Server();
    server.addService(eventStreamDefinition, eventStreamService(() => undefined).implementation);
    const port = await new Promise<number>((resolve, reject) => {
      const bound = (error: Error | null, at: number): void => (error === null ? resolve(at) : reject(error));
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), bound);
    });
    const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    try {
      const call = client.makeBidiStreamRequest(SUBSCRIBE_PATH, same, same, new Metadata());
      const refused = new Promise<FlowctlError>((resolve) =>
        call.once("error", (error: ServiceError) => resolve(fromServiceError(error, "up"))),
      );
      call.on("data", () => undefined);
      expect(await refused).toMatchObject({ code: "stream/not-ready", kind: "unavailable" });
    } finally {
      client.close();
      server.forceShutdown();
    }
  });

  it("tells once of one that is refused again and again, by its name", async () => {
    const told: unknown[] = [];
    const log = { ...silentLogger, warn: (_message: string, about: unknown) => void told.push(about) };
    const outlet = new Outlet({ folder: "/nonexistent", onFailure: () => undefined });
    outlet.setGroups([]);
    const server = await serve(outlet, log as typeof silentLogger);
    const client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure());
    const refused = async (instanceId: string): Promise<void> => {
      const call = client.makeBidiStreamRequest(SUBSCRIBE_PATH, same, same, new Metadata());
      call.on("data", () => undefined);
      const open = { pipeline: "p", group: "down", instanceId, types: [], upstreamInstance: "up-2" };
      call.write(encodeRequest({ kind: "open", open: { ...open, credit: { maxSequence: 1, maxBytes: 1 } } }));
      await new Promise((resolve) => call.once("error", resolve));
    };
    try {
      for (const instance of ["down-1", "down-1", "down-2", "down-1"]) await refused(instance);
      expect(told).toMatchObject([
        { group: "down", instance: "down-1", code: "stream/wrong-upstream" },
        { group: "down", instance: "down-2", code: "stream/wrong-upstream" },
      ]);
    } finally {
      client.close();
      await server.close(AbortSignal.abort());
      await outlet.close();
    }
  });

  it("tells its subscribers that it stops, in place of breaking their streams", async () => {
    const outlet = new Outlet({ folder: "/nonexistent", onFailure: () => undefined });
    outlet.setGroups([{ componentId: "down", types: [], partitionBy: "", desiredInstances: 1, deadLetters: false }]);
    const server = await serve(outlet);
    const client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure());
    try {
      const call = client.makeBidiStreamRequest(SUBSCRIBE_PATH, same, same, new Metadata());
      const ended = new Promise<FlowctlError>((resolve) =>
        call.once("error", (error: ServiceError) => resolve(fromServiceError(error, "up"))),
      );
      const who = { pipeline: "p", group: "down", instanceId: "down-1", types: [], upstreamInstance: "" };
      call.write(encodeRequest({ kind: "open", open: { ...who, credit: { maxSequence: 1, maxBytes: 1 } } }));
      await new Promise((resolve) => call.once("data", resolve));
      await server.close(AbortSignal.abort());
      expect(await ended).toMatchObject({ code: "stream/stopping", kind: "unavailable" });
      expect(outlet.connected).toBe(0);
    } finally {
      client.close();
      await outlet.close();
    }
  });

  it("gives what one subscriber has in its hands to no other while it closes, and says that it failed", async () => {
    const outlet = new Outlet({ folder: "/nonexistent", onFailure: () => undefined });
    outlet.setGroups([{ componentId: "down", types: [], partitionBy: "", desiredInstances: 2, deadLetters: false }]);
    const server = await serve(outlet);
    const client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure());
    const subscribe = async (instanceId: string) => {
      const call = client.makeBidiStreamRequest(SUBSCRIBE_PATH, same, same, new Metadata());
      const seen = { messages: 0 };
      call.on("data", () => seen.messages++);
      const failed = new Promise<FlowctlError>((resolve) =>
        call.once("error", (error: ServiceError) => resolve(fromServiceError(error, "up"))),
      );
      const who = { pipeline: "p", group: "down", instanceId, types: [], upstreamInstance: "" };
      call.write(encodeRequest({ kind: "open", open: { ...who, credit: { maxSequence: 100, maxBytes: 1e6 } } }));
      await expect.poll(() => seen.messages).toBe(1);
      return { seen, failed };
    };
    try {
      const first = await subscribe("down-1");
      outlet.publish(event(1), { settle: () => undefined });
      await expect.poll(() => first.seen.messages).toBe(2);
      const second = await subscribe("down-2");
      await outlet.close();
      await server.close(AbortSignal.abort(), "failed");
      expect([(await first.failed).code, (await second.failed).code]).toEqual(["stream/failed", "stream/failed"]);
      expect(second.seen.messages).toBe(1);
    } finally {
      client.close();
    }
  });

  it("refuses whoever means another instance, and leaves the stream that this would have replaced", async () => {
    const outlet = new Outlet({ folder: "/nonexistent", onFailure: () => undefined });
    outlet.setGroups([{ componentId: "down", types: [], partitionBy: "", desiredInstances: 1, deadLetters: false }]);
    const server = await serve(outlet);
    const client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure());
    const open = (upstreamInstance: string) => {
      const call = client.makeBidiStreamRequest(SUBSCRIBE_PATH, same, same, new Metadata());
      const credit = { maxSequence: 1, maxBytes: 1 };
      const who = { pipeline: "p", group: "down", instanceId: "down-1", types: [] };
      call.write(encodeRequest({ kind: "open", open: { ...who, credit, upstreamInstance } }));
      const opened = new Promise<"opened">((resolve) => call.once("data", () => resolve("opened")));
      const refused = new Promise<FlowctlError>((resolve) =>
        call.once("error", (error: ServiceError) => resolve(fromServiceError(error, "up"))),
      );
      return { opened, refused };
    };
    try {
      const right = open("up-1");
      await right.opened;
      expect(await open("up-2").refused).toMatchObject({ code: "stream/wrong-upstream", kind: "conflict" });
      expect(outlet.connected).toBe(1);
      // Who says nothing means whoever is there, and does replace it.
      await open("").opened;
      expect((await right.refused).code).toBe("stream/replaced");
    } finally {
      client.close();
      await server.close(AbortSignal.abort());
      await outlet.close();
    }
  });
});

function same(buffer: Buffer): Buffer {
  return buffer;
}

function serve(publisher: Outlet, log = silentLogger): Promise<EventStreamServer> {
  const who = { pipeline: "p", componentId: "up", instanceId: "up-1" };
  return serveEventStream({ listen: "127.0.0.1:0", ...who, publisher, log });
}

import { connect, type Http2Server } from "node:http2";
import { connect as connectTcp } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { type Server, ServerCredentials, type ServerDuplexStream, status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { createGrpcServer } from "./server.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

const same = (bytes: Buffer): Buffer => bytes;
const codecs = {
  ...{ requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same },
};
const TALK = { Talk: { path: "/x/Talk", requestStream: true, responseStream: true, ...codecs } };

describe("a gRPC server", () => {
  it("does not answer a stream that is gone when it is looked at, and refuses one that is not gRPC", async () => {
    const server = createGrpcServer({});
    const port = await listening(server);
    const look = (server as unknown as { _verifyContentType(stream: object, headers: object): boolean })
      ._verifyContentType;
    const gone = {
      destroyed: true,
      respond: () => {
        throw new Error("answered");
      },
    };
    expect(look(gone, { "content-type": "text/plain" })).toBe(false);
    const client = connect(`http://127.0.0.1:${port}`);
    const answer = client.request({ ":method": "POST", ":path": "/x/y", "content-type": "text/plain" });
    const status = await new Promise((resolve) => answer.on("response", (headers) => resolve(headers[":status"])));
    client.destroy();
    server.forceShutdown();
    expect(status).toBe(415);
  });

  it("says of a message that it is too long, also while it has something else to say", async () => {
    const server = createGrpcServer({ "grpc.max_receive_message_length": 20_000 });
    server.addService(TALK, {
      Talk: (call: ServerDuplexStream<Buffer, Buffer>) => {
        call.on("error", () => undefined);
        call.once("data", () => {
          call.write(Buffer.from("one"));
          call.write(Buffer.from("another"));
        });
      },
    });
    const client = connect(`http://127.0.0.1:${await listening(server)}`);
    try {
      const call = client.request({
        ":method": "POST",
        ":path": "/x/Talk",
        "content-type": "application/grpc",
        te: "trailers",
      });
      const code = new Promise((resolve) =>
        call.on("trailers", (trailers) => resolve(Number(trailers["grpc-status"]))),
      );
      call.resume();
      // Each begins a frame of HTTP/2, and both come at once. Of the one that is too long there is no more than what announces it.
      call.write(Buffer.concat([framed(16_384 - 5), framed(20_001).subarray(0, 5)]));
      expect(await code).toBe(status.RESOURCE_EXHAUSTED);
    } finally {
      client.destroy();
      server.forceShutdown();
    }
  });

  it("closes a connection that it has given up while a write was stuck in it", async () => {
    const server = createGrpcServer({ "grpc.keepalive_time_ms": 200, "grpc.keepalive_timeout_ms": 200 });
    let begun = (): void => undefined;
    const talks = new Promise<void>((resolve) => {
      begun = resolve;
    });
    server.addService(TALK, {
      Talk: (call: ServerDuplexStream<Buffer, Buffer>) => {
        call.on("error", () => undefined);
        // More than a connection holds of which nobody reads.
        for (let at = 0; at < 16; at++) call.write(Buffer.alloc(4 * 1024 * 1024));
        begun();
      },
    });
    const silent = connectTcp(await listening(server), "127.0.0.1");
    const connections = () =>
      new Promise<number>((resolve, reject) => {
        const [http2Server] = (server as unknown as { http2Servers: Map<Http2Server, unknown> }).http2Servers.keys();
        http2Server?.getConnections((error, count) => (error === null ? resolve(count) : reject(error)));
      });
    try {
      silent.pause();
      silent.on("error", () => undefined);
      silent.write(
        Buffer.concat([PREFACE, frame(4, 0, 0, windowOf(4)), frame(8, 0, 0, LARGEST), frame(1, 4, 1, HEADERS)]),
      );
      await talks;
      await expect.poll(connections, { timeout: 60_000 }).toBe(0);
    } finally {
      silent.destroy();
      server.forceShutdown();
    }
  });

  it("keeps nothing of connections that were broken off while they ended by an error", async () => {
    const server = createGrpcServer({});
    const port = await listening(server);
    const sessions: WeakRef<object>[] = [];
    const [http2Server] = (server as unknown as { http2Servers: Map<Http2Server, unknown> }).http2Servers.keys();
    http2Server?.on("session", (session) => sessions.push(new WeakRef(session)));
    const breakOff = () =>
      new Promise<void>((resolve) => {
        const socket = connectTcp(port, "127.0.0.1");
        socket.on("error", () => undefined).on("close", () => resolve());
        // Data that belongs to no stream is an error of the whole connection.
        const bytes = Buffer.concat([PREFACE, frame(4, 0, 0, Buffer.alloc(0)), frame(0, 0, 0, Buffer.from("x"))]);
        socket.write(bytes, () => socket.resetAndDestroy());
      });
    try {
      for (let round = 0; round < 20; round++) await breakOff();
      const kept = (): number => {
        collectGarbage();
        return sessions.filter((session) => session.deref() !== undefined).length;
      };
      // Of the last there may be something in hand.
      await expect.poll(kept, { timeout: 60_000 }).toBeLessThan(3);
      expect(sessions.length).toBeGreaterThan(10);
    } finally {
      server.forceShutdown();
    }
  });
});

// What a client of HTTP/2 says first, with windows as large as they can be (RFC 9113, 3.4 and 6).
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const LARGEST = Buffer.from("7fff0000", "hex");
const windowOf = (setting: number): Buffer => Buffer.concat([Buffer.from([0, setting]), LARGEST]);

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Literals that are not indexed (RFC 7541, 6.2.2). */
const HEADERS = Buffer.concat(
  Object.entries({
    ":method": "POST",
    ":scheme": "http",
    ":authority": "x",
    ":path": "/x/Talk",
    "content-type": "application/grpc",
    te: "trailers",
  }).flatMap(([name, value]) => [
    Buffer.from([0, name.length]),
    Buffer.from(name),
    Buffer.from([value.length]),
    Buffer.from(value),
  ]),
);

function listening(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
}

/** A message in gRPC's frame. */
function framed(bytes: number): Buffer {
  const frame = Buffer.alloc(5 + bytes);
  frame.writeUInt32BE(bytes, 1);
  return frame;
}

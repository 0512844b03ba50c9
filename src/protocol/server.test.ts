import { connect } from "node:http2";
import { type Server, ServerCredentials, type ServerDuplexStream, status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { createGrpcServer } from "./server.ts";

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
    const same = (bytes: Buffer): Buffer => bytes;
    const codecs = {
      ...{ requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same },
    };
    server.addService(
      { Talk: { path: "/x/Talk", requestStream: true, responseStream: true, ...codecs } },
      {
        Talk: (call: ServerDuplexStream<Buffer, Buffer>) => {
          call.on("error", () => undefined);
          call.once("data", () => {
            call.write(Buffer.from("one"));
            call.write(Buffer.from("another"));
          });
        },
      },
    );
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
});

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

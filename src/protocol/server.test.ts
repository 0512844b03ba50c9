import { connect } from "node:http2";
import { ServerCredentials } from "@grpc/grpc-js";
import { expect, it } from "vitest";
import { createGrpcServer } from "./server.ts";

it("a stream that is gone when it is looked at is not answered, and one that is not gRPC is refused", async () => {
  const server = createGrpcServer({});
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
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

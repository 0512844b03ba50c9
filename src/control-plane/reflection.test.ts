import { Client, type ClientDuplexStream, credentials, Metadata, type StatusObject, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type GrpcServer, startGrpcServer } from "./grpc-server.ts";

/** A request for the list of services, one that has a long answer, and one that is none. */
const LIST = Buffer.from([0x3a, 0x00]);
const SERVICE = "flowctl.control.v1.PipelineControl";
const DESCRIBE = Buffer.concat([Buffer.from([0x22, SERVICE.length]), Buffer.from(SERVICE)]);
const MALFORMED = Buffer.from([0x08]);

let server: GrpcServer;
let client: Client;

beforeEach(async () => {
  server = await startGrpcServer("127.0.0.1:0", {});
  client = connect();
});

afterEach(async () => {
  client.close();
  await server.close();
});

/** Over a connection of its own. */
function connect(): Client {
  return new Client(server.address, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
}

function open(on = client): ClientDuplexStream<Buffer, Buffer> {
  const same = (bytes: Buffer): Buffer => bytes;
  const path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
  const call = on.makeBidiStreamRequest(path, same, same, new Metadata());
  call.on("error", () => undefined);
  return call;
}

function codeOf(call: ClientDuplexStream<Buffer, Buffer>): Promise<status> {
  return new Promise((resolve) => call.once("status", ({ code }: StatusObject) => resolve(code)));
}

/** Sends these requests at once. Returns the number of answers and the status. */
async function ask(...requests: readonly Buffer[]): Promise<readonly [answers: number, code: status]> {
  const call = open();
  let answers = 0;
  call.on("data", () => answers++);
  const ended = codeOf(call);
  for (const request of requests) call.write(request);
  call.end();
  const code = await ended;
  return [answers, code];
}

it("answers each request of a call, and other calls after one that was malformed", async () => {
  expect(await ask(LIST, LIST)).toEqual([2, status.OK]);
  expect((await ask(MALFORMED, LIST))[1]).toBe(status.INTERNAL);
  expect(await ask(LIST)).toEqual([1, status.OK]);
});

// An exception that nobody catches, which would end the control plane, fails the run.
it("outlives answers that wait for who asked when the call is refused, or is gone", async () => {
  const many = new Array<Buffer>(50).fill(DESCRIBE);
  const slow = connect();
  const refused = open(slow);
  for (const request of [...many, MALFORMED]) refused.write(request);
  const gone = open(slow);
  for (const request of many) gone.write(request);
  // By now they were heard, and the answers fill what may be under way to somebody who reads nothing.
  expect(await ask(...many.map(() => LIST))).toEqual([many.length, status.OK]);
  gone.cancel();
  gone.resume();
  refused.resume();
  expect(await ask(...many.map(() => LIST))).toEqual([many.length, status.OK]);
  slow.close();
});

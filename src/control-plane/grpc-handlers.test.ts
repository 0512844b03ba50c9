import { EventEmitter } from "node:events";
import { type ServerUnaryCall, type ServerWritableStream, status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { silentLogger } from "../foundation/logger.ts";
import { serverStream, unary } from "./grpc-handlers.ts";

/** How a call is answered whose connection has closed since it was admitted: grpc-js then knows no certificate. */
async function answered(secure: boolean): Promise<{ readonly handled: boolean; readonly code: unknown }> {
  let handled = false;
  const handler = unary({ log: silentLogger, stopping: new AbortController().signal, secure }, () => {
    handled = true;
    return {};
  });
  const call = { request: {}, getHost: () => "", getPath: () => "/x", getAuthContext: () => ({}) };
  const code = await new Promise((resolve) => {
    handler(call as unknown as ServerUnaryCall<object, object>, (error) => resolve(error?.code));
  });
  return { handled, code };
}

describe("a call of a connection that shows no certificate any more", () => {
  it("is refused where the pipeline has an identity", async () => {
    expect(await answered(true)).toEqual({ handled: false, code: status.UNAUTHENTICATED });
  });

  it("is one like any other in the clear", async () => {
    expect(await answered(false)).toEqual({ handled: true, code: undefined });
  });
});

/** A stream as grpc-js hands it over: where its deadline was over before its request was complete, nothing ever tells that it has ended. */
async function streamed(deadline: number): Promise<{ readonly taken: boolean; readonly ended: boolean }> {
  let taken = false;
  const handler = serverStream<object, object>(
    { log: silentLogger, stopping: new AbortController().signal, secure: false },
    async function* () {
      taken = true;
      yield* [];
    },
  );
  const call = new EventEmitter();
  const ended = new Promise<boolean>((resolve) => {
    const end = (): void => resolve(true);
    Object.assign(call, { request: {}, getHost: () => "", getPath: () => "/x", getAuthContext: () => ({}), end });
  });
  Object.assign(call, { getDeadline: () => deadline });
  handler(call as unknown as ServerWritableStream<object, object>);
  return { ended: await ended, taken };
}

describe("a stream", () => {
  it("is not begun where its deadline is over by then", async () => {
    expect(await streamed(Date.now() - 1)).toEqual({ taken: false, ended: true });
  });

  it("is begun before its deadline, and without one", async () => {
    expect(await streamed(Date.now() + 3_600_000)).toEqual({ taken: true, ended: true });
    expect(await streamed(Number.POSITIVE_INFINITY)).toEqual({ taken: true, ended: true });
  });
});

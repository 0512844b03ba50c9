import { type ServerUnaryCall, status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { silentLogger } from "../foundation/logger.ts";
import { unary } from "./grpc-handlers.ts";

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

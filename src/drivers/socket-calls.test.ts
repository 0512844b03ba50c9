import { EventEmitter } from "node:events";
import type { ServerWritableStream } from "@grpc/grpc-js";
import { expect, it } from "vitest";
import type { Method } from "../protocol/service-methods.ts";
import { socketCalls } from "./socket-calls.ts";

/** A stream as grpc-js hands it over: where its deadline was over before its request was complete, nothing ever tells that it has ended. */
async function streamed(deadline: number): Promise<{ readonly taken: boolean; readonly ended: boolean }> {
  let taken = false;
  const calls = socketCalls({ code: "test/defect", kind: "internal", message: "a defect" });
  const handler = calls.answers<object, object>(
    {} as Method<object, object>,
    async function* () {
      taken = true;
      yield* [];
    },
    new AbortController().signal,
  );
  const call = new EventEmitter();
  const ended = new Promise<boolean>((resolve) => {
    Object.assign(call, { request: {}, sendMetadata: () => undefined, end: () => resolve(true) });
  });
  Object.assign(call, { getDeadline: () => deadline });
  handler(call as unknown as ServerWritableStream<object, object>);
  return { ended: await ended, taken };
}

it("a stream is begun unless its deadline is over by then", async () => {
  expect(await streamed(Date.now() - 1)).toEqual({ taken: false, ended: true });
  expect(await streamed(Date.now() + 3_600_000)).toEqual({ taken: true, ended: true });
});

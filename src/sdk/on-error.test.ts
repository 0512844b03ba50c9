import { describe, expect, it } from "vitest";
import { fakeClock } from "../foundation/clock.fake.ts";
import { FlowctlError } from "../foundation/errors.ts";
import { fileFailure } from "../foundation/file-failure.ts";
import { silentLogger } from "../foundation/logger.ts";
import type { OnErrorSpec } from "../protocol/records.ts";
import type { ReceivedEvent } from "../streams/received-event.ts";
import { OnError, type OnErrorOptions } from "./on-error.ts";

const event = { id: "order-17" } as ReceivedEvent;

function refused(errno: string): Error {
  return Object.assign(new Error(`${errno}: said the kernel`), { code: errno });
}

/** A policy in force, and what it has counted. Nothing here can take a dead letter: asking for that is a failure. */
function policy(action: OnErrorSpec["action"], retries = 0) {
  const counters = { retries: 0, failed: 0, dropped: 0, deadLetters: 0 };
  const clock = fakeClock();
  const onError = new OnError({
    policy: () => ({ action, to: "rejected", retries, backoffMs: 10 }),
    counters,
    clock,
    log: silentLogger,
    signal: new AbortController().signal,
  } as unknown as OnErrorOptions);
  return { onError, counters, clock };
}

const never = (): Promise<void> => Promise.reject(new Error("not to be tried again"));

describe("an event that cannot be processed", () => {
  it("ends the component with the event's id and the reason, by default", async () => {
    const { onError, counters } = policy("fail");
    const error = new Error("no amount");
    await expect(onError.handle(event, error, never)).rejects.toMatchObject({
      code: "sdk/event-failed",
      message: 'event "order-17" could not be processed: no amount',
      cause: error,
    });
    expect(counters).toMatchObject({ failed: 1, dropped: 0 });
  });

  it("is dropped and counted where the policy says so", async () => {
    const { onError, counters } = policy("drop");
    await expect(onError.handle(event, new Error("no amount"), never)).resolves.toBe(false);
    expect(counters).toMatchObject({ failed: 1, dropped: 1 });
  });
});

describe("a disk that refuses", () => {
  it.each(["fail", "retry", "drop", "dead_letter"] as const)("is no event's fault under %s", async (action) => {
    const { onError, counters } = policy(action);
    for (const errno of ["ENOSPC", "EDQUOT", "EIO", "EROFS"]) {
      // As the file system said it to an author, and as the built-ins tell it.
      const plain = refused(errno);
      const told = fileFailure(plain, { code: "components/file-unwritable", doing: "write", path: "/data/out.jsonl" });
      await expect(onError.handle(event, plain, never)).rejects.toBe(plain);
      await expect(onError.handle(event, told, never)).rejects.toBe(told);
    }
    expect(counters).toEqual({ retries: 0, failed: 0, dropped: 0, deadLetters: 0 });
  });

  it("is tried again as often as the policy says: there may be room by then", async () => {
    const { onError, counters, clock } = policy("drop", 2);
    let attempts = 0;
    const handled = onError.handle(event, refused("ENOSPC"), () =>
      ++attempts === 1 ? Promise.reject(refused("ENOSPC")) : Promise.resolve(),
    );
    await clock.advance(10);
    await clock.advance(20);
    await expect(handled).resolves.toBe(true);
    expect(counters).toEqual({ retries: 2, failed: 0, dropped: 0, deadLetters: 0 });
  });

  it("does not excuse an event that is bad on a disk that is well again", async () => {
    const { onError, counters, clock } = policy("drop", 1);
    const bad = new FlowctlError({ code: "a/b", kind: "invalid", message: "no amount" });
    const handled = onError.handle(event, refused("ENOSPC"), () => Promise.reject(bad));
    await clock.advance(10);
    await expect(handled).resolves.toBe(false);
    expect(counters).toMatchObject({ failed: 1, dropped: 1 });
  });
});

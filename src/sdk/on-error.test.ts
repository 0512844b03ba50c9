import { describe, expect, it } from "vitest";
import { fakeClock } from "../foundation/clock.fake.ts";
import { FlowctlError } from "../foundation/errors.ts";
import { fileFailure } from "../foundation/file-failure.ts";
import { silentLogger } from "../foundation/logger.ts";
import { viewOfEvent } from "../protocol/encoded-events.fake.ts";
import type { EventView } from "../protocol/event-view.ts";
import type { OnErrorSpec } from "../protocol/records.ts";
import { SlabPool } from "../protocol/slab-pool.ts";
import type { Receipt } from "../streams/receipt.ts";
import type { ReceivedEvent } from "../streams/receiving/received-event.ts";
import { OnError, type OnErrorOptions } from "./on-error.ts";
import { OutputEncoder } from "./output.ts";

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

describe("a dead letter", () => {
  it("keeps its event from being done until the dead-letter sink has it", async () => {
    const waits = new Map([[7, 1]]);
    const change = (sequence: number, by: number): void => void waits.set(sequence, (waits.get(sequence) ?? 0) + by);
    const origin = { upstream: "orders", hold: (n: number) => change(n, 1), settle: (n: number) => change(n, -1) };
    const rejected = Object.assign(viewOfEvent(Buffer.from("\n\u0001a")), { origin, sequence: 7 });
    const published: { letter: EventView; receipt: Receipt; tag: number; deadLetter: boolean }[] = [];
    const counters = { retries: 0, failed: 0, deadLetters: 0 };
    const onError = new OnError({
      policy: () => ({ action: "dead_letter", to: "rejected", retries: 0, backoffMs: 10 }),
      publisher: {
        publish: (letter: EventView, receipt: Receipt, tag: number, deadLetter: boolean) =>
          published.push({ letter, receipt, tag, deadLetter }),
        room: () => undefined,
      },
      encoder: new OutputEncoder("map", new SlabPool()),
      counters,
      clock: fakeClock(),
      log: silentLogger,
      signal: new AbortController().signal,
    } as unknown as OnErrorOptions);
    await expect(onError.handle(rejected as unknown as ReceivedEvent, new Error("no"), never)).resolves.toBe(false);
    const [{ letter, receipt, tag, deadLetter }] = published as [(typeof published)[0]];
    expect(letter.id).toBe("a");
    expect(letter.metadata).toMatchObject({ "flowctl.dead_letter.reason": "no" });
    expect(deadLetter).toBe(true);
    expect(counters.deadLetters).toBe(1);
    // The one who processed it is done with it, and then the sink.
    origin.settle(7);
    expect([...waits]).toEqual([[7, 1]]);
    receipt.settle(tag);
    expect([...waits]).toEqual([[7, 0]]);
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

describe("a service that is away", () => {
  /** As `pg` says what the database said, or what became of the connection. */
  const said = (code: string): Error => Object.assign(new Error("said by the database"), { code });
  const refused = new TypeError("fetch failed", { cause: said("ECONNREFUSED") });
  const notNow = new FlowctlError({ code: "ledger/not-now", kind: "unavailable", message: "the ledger answered 503" });

  it.each(["fail", "retry", "drop", "dead_letter"] as const)("is no event's fault under %s", async (action) => {
    const { onError, counters } = policy(action);
    for (const error of [said("57P01"), said("ECONNRESET"), refused, notNow])
      await expect(onError.handle(event, error, never)).rejects.toBe(error);
    expect(counters).toEqual({ retries: 0, failed: 0, dropped: 0, deadLetters: 0 });
  });

  it("is waited for as long as the retries of the policy last", async () => {
    const { onError, counters, clock } = policy("drop", 2);
    const answers = [Promise.reject(said("57P03")), Promise.resolve()];
    answers[0]?.catch(() => undefined);
    const handled = onError.handle(event, said("57P01"), () => answers.shift()!);
    await clock.advance(10);
    await clock.advance(20);
    await expect(handled).resolves.toBe(true);
    expect(counters).toEqual({ retries: 2, failed: 0, dropped: 0, deadLetters: 0 });
  });

  it("is not blamed on an event by what its broken connection says afterwards", async () => {
    const { onError, counters, clock } = policy("drop", 1);
    const stopped = said("57P01");
    const handled = onError.handle(event, stopped, () => Promise.reject(new Error("the client is not queryable")));
    handled.catch(() => undefined);
    await clock.advance(10);
    await expect(handled).rejects.toBe(stopped);
    expect(counters).toEqual({ retries: 1, failed: 0, dropped: 0, deadLetters: 0 });
  });

  it("is not blamed on other events under way, until the one that met it has succeeded", async () => {
    const { onError, counters, clock } = policy("drop", 1);
    const bad = new Error("the client is not queryable");
    const fails = (): Promise<void> => Promise.reject(bad);
    const stopped = said("57P01");
    let answer = (): void => undefined;
    const first = onError.handle(event, stopped, () => new Promise((resolve) => (answer = resolve)));
    const second = onError.handle({ id: "order-18" } as ReceivedEvent, bad, fails);
    second.catch(() => undefined);
    await clock.advance(10);
    await expect(second).rejects.toBe(stopped);
    answer();
    await expect(first).resolves.toBe(true);
    const third = onError.handle({ id: "order-19" } as ReceivedEvent, bad, fails);
    await clock.advance(10);
    await expect(third).resolves.toBe(false);
    expect(counters).toEqual({ retries: 3, failed: 1, dropped: 1, deadLetters: 0 });
  });

  it("does not excuse an event that is refused for its content", async () => {
    const { onError, counters } = policy("drop");
    const noSuchHost = said("ENOTFOUND");
    const told = new FlowctlError({ code: "a/b", kind: "invalid", message: "no such host", cause: noSuchHost });
    for (const error of [said("23505"), told]) await expect(onError.handle(event, error, never)).resolves.toBe(false);
    expect(counters).toMatchObject({ failed: 2, dropped: 2 });
  });
});

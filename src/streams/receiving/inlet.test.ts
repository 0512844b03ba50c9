import { afterEach, describe, expect, it, vi } from "vitest";
import { silentLogger } from "../../foundation/logger.ts";
import type { InFlightAllowance, Upstream } from "../../protocol/records.ts";
import { encodeOpened } from "../../protocol/stream-codec.ts";
import type { Window } from "./ack-tracker.ts";
import { Inlet } from "./inlet.ts";
import { type ReceivedEvent, settle } from "./received-event.ts";
import { settleAll } from "./receiving-world.fake.ts";
import { ScriptedUpstream } from "./scripted-upstream.fake.ts";

/** An inlet and one upstream that says what the test wants. */
const violations: string[] = [];
const cleanUps: (() => Promise<void>)[] = [];
const WINDOW = { maxEvents: 100, maxBytes: 100_000 };

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  expect(violations.splice(0)).toEqual([]);
});

async function setUp(
  window: Window = WINDOW,
  allowance: InFlightAllowance = { events: 0, bytes: 0 },
): Promise<{ upstream: ScriptedUpstream; inlet: Inlet }> {
  const upstream = new ScriptedUpstream("up", "up-1", violations);
  upstream.window = { maxSequence: WINDOW.maxEvents, maxBytes: WINDOW.maxBytes };
  await upstream.listen();
  const who = { pipeline: "p", componentId: "down", instanceId: "down-1" };
  const inlet = new Inlet({ who, log: silentLogger, window });
  inlet.setInFlightAllowance(allowance);
  cleanUps.push(
    () => upstream.close(),
    () => inlet.close(AbortSignal.abort()),
  );
  inlet.update(topology(upstream.address));
  return { upstream, inlet };
}

function topology(address: string | undefined): Upstream[] {
  const instances = address === undefined ? [] : [{ instanceId: "up-1", address, completed: false }];
  return [{ componentId: "up", types: [], instances, completed: false, deadLetters: false, desiredInstances: 1 }];
}

async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 100_000;
  while (!condition() && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 2));
}

function takeAll(inlet: Inlet): ReceivedEvent[] {
  const events: ReceivedEvent[] = [];
  for (let batch = inlet.take(); batch !== undefined; batch = inlet.take()) events.push(...batch);
  return events;
}

const ids = (events: readonly ReceivedEvent[]): string[] => events.map(({ id }) => id);

describe("an inlet whose upstream went away", () => {
  it("does not work again on what became done meanwhile, however often it dialled in vain", async () => {
    const { upstream, inlet } = await setUp();
    await until(() => upstream.stream !== undefined);
    upstream.produce(3, 0);
    upstream.send(3);
    await until(() => inlet.counters().inFlight === 3);
    const events = takeAll(inlet);
    upstream.refuse();
    await until(() => inlet.counters().inFlight === 0);
    for (const event of events) settle(event);
    await until(() => upstream.refused >= 4);
    await upstream.listen();
    await until(() => upstream.stream !== undefined);
    upstream.produce(1, 0);
    upstream.send(4);
    await until(() => upstream.owed.length === 1);
    expect(ids(takeAll(inlet))).toEqual(["up-1:4"]);
  });

  it("works on what is sent again, and not also on what nobody had taken when it came first", async () => {
    const { upstream, inlet } = await setUp();
    await until(() => upstream.stream !== undefined);
    upstream.produce(3, 0);
    upstream.send(3);
    await until(() => inlet.counters().inFlight === 3);
    upstream.break("destroy");
    // Two of the three went to a sibling meanwhile.
    upstream.log[0]!.gone = true;
    upstream.log[1]!.gone = true;
    await until(() => upstream.stream !== undefined);
    upstream.send(3);
    await until(() => inlet.counters().inFlight === 1);
    expect(ids(takeAll(inlet))).toEqual(["up-1:3"]);
    expect(inlet.counters().eventsIn).toBe(1);
  });
});

const BROKE = "lost the connection to upstream; reconnecting";

describe("an inlet whose upstream stops", () => {
  it("warns of nothing until it has been back: neither of the end of the stream nor that it gets none", async () => {
    const warn = vi.spyOn(silentLogger, "warn");
    const debug = vi.spyOn(silentLogger, "debug");
    cleanUps.push(async () => {
      warn.mockRestore();
      debug.mockRestore();
    });
    const { upstream } = await setUp();
    const opened = (): Promise<void> =>
      until(() => upstream.stream?.open === true && upstream.stream.credit.maxSequence > 0);
    await opened();
    // From now on it opens no stream.
    upstream.isAway = true;
    upstream.break("stopping");
    await until(() => debug.mock.calls.filter(([what]) => what === BROKE).length === 2);
    expect(warn).not.toHaveBeenCalled();
    // That another one is there in its place is news.
    upstream.isAway = false;
    upstream.isAnother = true;
    const warnings = (): number => warn.mock.calls.filter(([what]) => what === BROKE).length;
    await until(() => warnings() === 1);
    upstream.isAnother = false;
    await opened();
    upstream.break("end");
    await until(() => warnings() === 2);
  });
});

describe("an inlet whose upstream opens its stream and breaks it at once, again and again", () => {
  it("dials it no faster than one that is not there", async () => {
    const random = vi.spyOn(Math, "random").mockReturnValue(1);
    const timers = vi.spyOn(globalThis, "setTimeout");
    cleanUps.push(async () => {
      random.mockRestore();
      timers.mockRestore();
    });
    const { upstream, inlet } = await setUp();
    upstream.onOpened = () => setImmediate(() => upstream.break("end"));
    const pauses = (): unknown[] => timers.mock.calls.map(([, pause]) => pause);
    await until(() => pauses().includes(400));
    expect(pauses()).not.toContain(50);
    // Once it has brought something, it is dialled at once again.
    upstream.onOpened = () => undefined;
    await until(() => upstream.stream?.open === true && upstream.stream.credit.maxSequence > 0);
    upstream.produce(1, 0);
    upstream.send(1);
    await until(() => inlet.counters().inFlight === 1);
    timers.mockClear();
    upstream.break("end");
    await until(() => pauses().includes(50));
  });

  it("takes one that held for a while for no vain attempt, although nothing came", async () => {
    const random = vi.spyOn(Math, "random").mockReturnValue(1);
    const timers = vi.spyOn(globalThis, "setTimeout");
    const clock = vi.spyOn(performance, "now");
    const debug = vi.spyOn(silentLogger, "debug");
    cleanUps.push(async () => {
      for (const spy of [random, timers, clock, debug]) spy.mockRestore();
    });
    const { upstream } = await setUp();
    const pauses = (): unknown[] => timers.mock.calls.map(([, pause]) => pause);
    const opened = (): Promise<void> => until(() => upstream.stream?.open === true);
    await opened();
    upstream.break("end");
    await until(() => pauses().includes(100));
    await opened();
    // The receiver knows that it is open; then much time goes by.
    await until(() => debug.mock.calls.filter(([what]) => what === "connected to upstream").length === 2);
    timers.mockClear();
    const later = performance.now() + 10_000;
    clock.mockReturnValue(later);
    upstream.break("end");
    await until(() => pauses().includes(50));
  });
});

describe("an inlet that finds another instance at an address", () => {
  it.each([
    ["says who it is", (upstream: ScriptedUpstream) => (upstream.opened = encodeOpened("up", "up-2"))],
    ["refuses", (upstream: ScriptedUpstream) => (upstream.isAnother = true)],
  ])(
    "that %s connects anew, as a name may have become another's while the connection to it holds",
    async (_title, another) => {
      const upstream = new ScriptedUpstream("up", "up-1", violations);
      upstream.window = { maxSequence: WINDOW.maxEvents, maxBytes: WINDOW.maxBytes };
      another(upstream);
      await upstream.listen();
      const who = { pipeline: "p", componentId: "down", instanceId: "down-1" };
      const inlet = new Inlet({ who, log: silentLogger, window: WINDOW });
      cleanUps.push(
        () => upstream.close(),
        () => inlet.close(AbortSignal.abort()),
      );
      inlet.update(topology(upstream.address));
      await until(() => upstream.connections >= 3);
      upstream.opened = encodeOpened("up", "up-1");
      upstream.isAnother = false;
      const right = await new Promise((resolve) => {
        upstream.onOpened = resolve;
      });
      await until(
        () => upstream.stream === right && upstream.stream?.open === true && upstream.stream.credit.maxSequence > 0,
      );
      upstream.produce(1, 0);
      upstream.send(1);
      await until(() => inlet.counters().inFlight === 1);
    },
  );
});

describe("an inlet whose events went to a sibling when its stream broke", () => {
  it("remembers those that became done until what it was owed has come, and those that are worked on as long as they are", async () => {
    const { upstream, inlet } = await setUp();
    await until(() => upstream.stream !== undefined);
    upstream.produce(2, 0);
    upstream.send(2);
    await until(() => inlet.counters().inFlight === 2);
    const [done, busy] = takeAll(inlet);
    upstream.break("destroy");
    for (const entry of upstream.log) entry.gone = true;
    await until(() => upstream.stream !== undefined);
    settle(done!);
    upstream.produce(WINDOW.maxEvents, 0);
    upstream.send(WINDOW.maxEvents);
    await until(() => inlet.counters().inFlight === WINDOW.maxEvents);
    for (const event of takeAll(inlet)) settle(event);
    await until(() => upstream.owed.length === 0);
    // The sibling has died.
    for (const entry of upstream.log.slice(0, 2)) entry.gone = false;
    upstream.send(2);
    await until(() => inlet.counters().inFlight === 2);
    const again = takeAll(inlet);
    expect(ids(again)).toEqual([done!.id]);
    for (const event of [busy!, ...again]) settle(event);
    await until(() => upstream.owed.length === 0);
  });
});

describe("an inlet whose topology changed", () => {
  it("never dials again where it was about to connect when the upstream was removed", async () => {
    const { upstream, inlet } = await setUp();
    inlet.update(topology(undefined));
    inlet.update(topology(upstream.address));
    await until(() => upstream.stream !== undefined);
    // Whoever came back in spite of that would dial as often, and each of the two would take the stream from the other.
    const breaks = 5;
    for (let n = 0; n < breaks; n++) {
      const ordinal = upstream.stream?.ordinal ?? 0;
      upstream.break("error");
      await until(() => (upstream.stream?.ordinal ?? 0) > ordinal);
    }
    upstream.produce(5, 0);
    upstream.send(5);
    await until(() => inlet.counters().inFlight === 5);
    expect(upstream.stream?.ordinal).toBeLessThanOrEqual(2 + breaks);
  });

  it("takes nothing any more of an upstream that is gone", async () => {
    const { upstream, inlet } = await setUp();
    await until(() => upstream.stream !== undefined);
    upstream.produce(3, 0);
    upstream.send(3);
    await until(() => inlet.counters().inFlight === 3);
    inlet.update(topology(undefined));
    expect(inlet.take()).toBeUndefined();
    await until(() => upstream.stream === undefined);
    expect(upstream.owed.length).toBe(3);
  });

  it("takes the end of an edge for the end of its data only where it knows that the edge drains", async () => {
    const { upstream, inlet } = await setUp();
    await until(() => upstream.stream !== undefined);
    upstream.end(true);
    await until(() => upstream.streams >= 4);
    expect(inlet.finished).toBe(false);
    // The upstream has heard by now that the input is wanted again.
    upstream.resume();
    const before = upstream.streams;
    await until(() => upstream.streams > before);
    upstream.produce(1, 0);
    upstream.send(1);
    await until(() => inlet.counters().inFlight === 1);
    const [event] = takeAll(inlet);
    settle(event!);
    await until(() => upstream.owed.length === 0);
    inlet.update(topology(upstream.address).map((one) => ({ ...one, draining: true })));
    upstream.end(true);
    await until(() => inlet.finished);
    expect(inlet.finished).toBe(true);
  });

  it("dials an upstream that ended, was removed, and is there again", async () => {
    const { upstream, inlet } = await setUp();
    upstream.end();
    await until(() => inlet.finished);
    inlet.update(topology(undefined));
    upstream.resume();
    inlet.update(topology(upstream.address));
    expect(inlet.finished).toBe(false);
    await until(() => upstream.stream !== undefined);
  });
});

describe("an inlet whose upstream lies", () => {
  it.each(["garbage", "gap", "repetition", "torn batch", "early end"] as const)(
    "ends the stream at a %s, and takes the same events once they come rightly",
    async (lie) => {
      const { upstream, inlet } = await setUp();
      await until(() => upstream.stream !== undefined);
      upstream.produce(5, 0);
      upstream.send(2);
      await until(() => inlet.counters().inFlight === 2);
      const taken = takeAll(inlet);
      let settled = false;
      upstream.isDone = () => settled;
      upstream.lie(lie);
      await until(() => upstream.stream !== undefined);
      expect(upstream.stream?.ordinal).toBe(2);
      upstream.send(5);
      await until(() => inlet.counters().inFlight === 5);
      taken.push(...takeAll(inlet));
      expect(ids(taken)).toEqual([1, 2, 3, 4, 5].map((n) => `up-1:${n}`));
      settled = true;
      for (const event of taken) settle(event);
      await until(() => upstream.owed.length === 0);
    },
  );

  it("ends the stream at a batch before Opened, and takes the same events once they come rightly", async () => {
    const { upstream, inlet } = await setUp();
    upstream.produce(2, 0);
    upstream.lie("batch before opened");
    await until(() => upstream.stream !== undefined);
    expect(upstream.stream?.ordinal).toBe(2);
    upstream.send(2);
    await until(() => inlet.counters().inFlight === 2);
    expect(ids(takeAll(inlet))).toEqual(["up-1:1", "up-1:2"]);
  });
});

describe("an inlet at work", () => {
  it("acknowledges and gives credit in one request", async () => {
    const { upstream, inlet } = await setUp();
    await until(() => upstream.stream !== undefined);
    upstream.produce(80, 0);
    upstream.send(80);
    await until(() => inlet.counters().inFlight === 80);
    settleAll(takeAll(inlet));
    await until(() => upstream.stream!.acked === 80);
    expect(upstream.stream!.credit.maxSequence).toBe(180);
    expect(upstream.said).toEqual(["ack+credit"]);
  });

  it("gives credit without an acknowledgement when the upstream has less than half of what it may have", async () => {
    const { upstream, inlet } = await setUp({ ...WINDOW, queue: { minEvents: 40, maxEvents: 40, maxBytes: 100_000 } });
    await until(() => upstream.stream !== undefined);
    upstream.produce(25, 0);
    const events: ReceivedEvent[] = [];
    for (const count of [10, 15]) {
      upstream.send(count);
      await until(() => inlet.counters().inFlight === events.length + count);
      events.push(...takeAll(inlet));
    }
    await until(() => upstream.stream!.credit.maxSequence === 65);
    settleAll(events);
    await until(() => upstream.stream!.acked === 25);
    expect(upstream.said).toEqual(["other+credit", "ack"]);
  });
});

describe("an inlet whose events nobody takes", () => {
  const window = { ...WINDOW, queue: { minEvents: 40, maxEvents: 40, maxBytes: 100_000 } };

  it("asks for no more than its queue may hold, and for more as they are taken, up to its window", async () => {
    const { upstream, inlet } = await setUp(window);
    await until(() => upstream.stream !== undefined);
    upstream.produce(200, 0);
    const events: ReceivedEvent[] = [];
    for (const expected of [40, 40, 20, 0]) {
      await until(() => upstream.stream!.credit.maxSequence === upstream.stream!.sent.length + expected);
      expect(upstream.send(200)).toBe(expected);
      await until(() => inlet.counters().inFlight === upstream.stream!.sent.length);
      events.push(...takeAll(inlet));
    }
    for (const event of events) settle(event);
    await until(() => upstream.stream!.credit.maxSequence === 140);
  });

  it("gives the last of its window, however little, to an upstream that may send nothing any more", async () => {
    const { upstream, inlet } = await setUp({ ...window, queue: { ...window.queue, minEvents: 90, maxEvents: 90 } });
    await until(() => upstream.stream !== undefined);
    upstream.produce(200, 0);
    for (const expected of [90, 10]) {
      await until(() => upstream.stream!.credit.maxSequence === upstream.stream!.sent.length + expected);
      expect(upstream.send(200)).toBe(expected);
      await until(() => inlet.counters().inFlight === upstream.stream!.sent.length);
      takeAll(inlet);
    }
    expect(inlet.counters().inFlight).toBe(100);
  });

  it("does not count what stands for an event that somebody still works on", async () => {
    const { upstream, inlet } = await setUp(window);
    await until(() => upstream.stream !== undefined);
    upstream.produce(100, 0);
    upstream.send(30);
    await until(() => inlet.counters().inFlight === 30);
    const events = takeAll(inlet);
    upstream.break("destroy");
    await until(() => upstream.stream !== undefined);
    upstream.send(30);
    await until(() => upstream.stream!.credit.maxSequence === 70);
    expect(upstream.send(100)).toBe(40);
    await until(() => inlet.counters().inFlight === 70);
    settleAll([...events, ...takeAll(inlet)]);
    await until(() => upstream.stream!.credit.maxSequence === 110);
  });

  it("keeps to the bytes that its queue may hold, by what was taken and by what stands for what is worked on", async () => {
    const queue = { minEvents: 1_000, maxEvents: 1_000, maxBytes: 4_000 };
    const { upstream, inlet } = await setUp({ ...WINDOW, queue });
    await until(() => upstream.stream !== undefined);
    expect(upstream.stream!.credit.maxBytes).toBe(4_000);
    upstream.produce(100, 90);
    const first = upstream.send(100);
    expect(first).toBeLessThan(40);
    await until(() => inlet.counters().inFlight === first);
    const events = takeAll(inlet);
    const bytes = events.reduce((sum, { size }) => sum + size, 0);
    await until(() => upstream.stream!.credit.maxBytes === bytes + 4_000);
    upstream.break("destroy");
    await until(() => upstream.stream?.credit.maxBytes === 4_000);
    expect(upstream.send(first)).toBe(first);
    await until(() => upstream.stream!.credit.maxBytes === bytes + 4_000);
    settleAll(events);
    await until(() => inlet.counters().inFlight === 0);
  });

  it("holds to its queue also where more may be in flight than usual", async () => {
    const { upstream } = await setUp(window, { events: 1_000, bytes: 1_000_000 });
    await until(() => upstream.stream !== undefined);
    expect(upstream.stream!.credit).toEqual({ maxSequence: 40, maxBytes: 100_000 });
  });
});

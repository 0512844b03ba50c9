import { describe, expect, it, onTestFinished } from "vitest";
import type { Logger } from "../../foundation/logger.ts";
import type { ReplayAnswer, ReplayMessage } from "../../protocol/control-codec.ts";
import type { ComponentSpec } from "../../protocol/records.ts";
import { event, Peer } from "../../streams/sending/publisher-world.fake.ts";
import { incarnation, linearPipeline, registration } from "../pipeline.fake.ts";
import { Kept } from "../registry.fake.ts";
import { Replays } from "./replays.ts";

const quiet: Logger = {
  debugging: false,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** A control plane's registry with a processor that runs, and the replays to it. */
function setUp(given: Partial<ComponentSpec> = {}) {
  const kept = new Kept();
  const registry = kept.open();
  const { components, ...pipeline } = linearPipeline();
  registry.apply({
    ...pipeline,
    components: components.map((one) => (one.id === "processor" ? { ...one, ...given } : one)),
  });
  const processor = incarnation("processor");
  registry.register(registration(processor));
  const replays = new Replays({
    pipeline: "p",
    registry,
    clock: kept.clock,
    log: quiet,
    record: (told) => kept.events.push(told),
  });
  const client = new AbortController();
  onTestFinished(() => client.abort());
  const requests = new Requests();
  return { kept, registry, processor, replays, client, requests, answers: replays.run(requests, client.signal) };
}

/** What a client sends, as it is told to. */
class Requests implements AsyncIterable<ReplayMessage> {
  private readonly waiting: (ReplayMessage | undefined)[] = [];
  private wake = (): void => undefined;

  /** Undefined: nothing follows. */
  send(message: ReplayMessage | undefined): void {
    this.waiting.push(message);
    this.wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<ReplayMessage> {
    for (;;) {
      while (this.waiting.length > 0) {
        const message = this.waiting.shift();
        if (message === undefined) return;
        yield message;
      }
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }
}

function encoded(n: number, key = ""): Uint8Array {
  const view = event(n, key);
  return view.buffer.subarray(view.body, view.end);
}

/** The component's instance as it subscribes at the control plane. */
function subscribe(replays: Replays, instance = "processor-1"): Peer {
  const peer = new Peer();
  peer.creditSequence = 100;
  peer.member = replays.host!.publisher.attach("processor", instance, peer, { maxSequence: 100, maxBytes: 1e6 });
  return peer;
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}

describe("a replay of dead letters", () => {
  it("is one more upstream of the component until everything is acknowledged, and nothing of it stays", async () => {
    const { replays, requests, answers, kept } = setUp();
    expect(replays.upstreamsOf("processor", "plane:8080")).toEqual([]);
    requests.send({ componentId: "processor", events: [encoded(1), encoded(2)] });
    const first = (await answers.next()).value as ReplayAnswer;
    expect(first.upstreamId).toMatch(/^processor-replay-/);
    expect(replays.upstreamsOf("processor", "plane:8080")).toMatchObject([
      { componentId: first.upstreamId, instances: [{ address: "plane:8080", completed: false }], completed: false },
    ]);
    expect(replays.upstreamsOf("sink", "plane:8080")).toEqual([]);
    const peer = subscribe(replays);
    await until(() => peer.got.length === 2);
    expect(peer.ids()).toEqual(["n-1", "n-2"]);
    peer.member?.ack(1);
    expect((await answers.next()).value).toEqual({ upstreamId: "", acknowledged: [0] });
    requests.send({ componentId: "", events: [encoded(3)] });
    requests.send(undefined);
    await until(() => peer.got.length === 3);
    expect(peer.ended).toBeUndefined();
    peer.member?.ack(3);
    expect((await answers.next()).value).toEqual({ upstreamId: "", acknowledged: [1, 2] });
    expect((await answers.next()).done).toBe(true);
    expect(peer.ended).toBe(3);
    expect(replays.host).toBeUndefined();
    expect(replays.upstreamsOf("processor", "plane:8080")).toEqual([]);
    expect(kept.events.filter(({ type }) => type.startsWith("replay"))).toMatchObject([
      { type: "replay.started", componentId: "processor" },
      { type: "replay.ended", message: `${first.upstreamId} is complete: 3 events acknowledged` },
    ]);
  });

  it("is told to the component's instances when it begins and when it ends", async () => {
    const { registry, requests, answers } = setUp();
    const changes = registry.topologyChanges("processor");
    const before = changes.version;
    requests.send({ componentId: "processor", events: [] });
    await answers.next();
    expect(changes.version).toBe(before + 1);
    await answers.return(undefined);
    expect(changes.version).toBe(before + 2);
  });

  it("leaves nothing when its client goes away", async () => {
    const { replays, requests, answers, client, kept } = setUp();
    requests.send({ componentId: "processor", events: [encoded(1)] });
    await answers.next();
    const peer = subscribe(replays);
    await until(() => peer.got.length === 1);
    const next = answers.next();
    client.abort();
    await expect(next).rejects.toMatchObject({ kind: "cancelled" });
    expect(replays.host).toBeUndefined();
    expect(kept.events.at(-1)?.message).toContain("is broken off: 0 events acknowledged");
  });

  it("fails once every instance of the component has ended", async () => {
    const { registry, processor, requests, answers, replays } = setUp();
    requests.send({ componentId: "processor", events: [encoded(1)] });
    await answers.next();
    const next = answers.next();
    registry.deregister({ ...processor, reason: "completed", message: "", metrics: undefined });
    await expect(next).rejects.toMatchObject({ code: "control/replay-failed", message: /processor completed before/ });
    expect(replays.host).toBeUndefined();
  });

  it("fails when the component is stopped, or leaves the pipeline", async () => {
    const stopped = setUp();
    stopped.requests.send({ componentId: "processor", events: [encoded(1)] });
    await stopped.answers.next();
    const ofStopped = stopped.answers.next();
    stopped.registry.setDesired({ stopped: ["processor-1"] });
    await expect(ofStopped).rejects.toMatchObject({ code: "control/replay-failed", message: /was stopped/ });

    const { registry, requests, answers, replays, client } = setUp();
    requests.send({ componentId: "processor", events: [encoded(1)] });
    await answers.next();
    const next = answers.next();
    const { components, ...pipeline } = linearPipeline();
    const sink = { ...components[2]!, inputs: [{ from: "source", types: [] }] };
    registry.apply({ ...pipeline, components: [components[0]!, sink] }, { existing: ["processor-1"] });
    expect(registry.spec?.components.map(({ id, leaving }) => `${id} ${leaving ?? false}`)).toContain("processor true");
    await expect(next).rejects.toMatchObject({ code: "control/cannot-replay" });
    const more = new Requests();
    more.send({ componentId: "processor", events: [] });
    await expect(replays.run(more, client.signal).next()).rejects.toMatchObject({ code: "control/cannot-replay" });
  });

  it("refuses bytes that are no event before the component sees them", async () => {
    const { replays, requests, answers } = setUp();
    requests.send({ componentId: "processor", events: [encoded(1), Buffer.from([0xff, 0xff, 0xff])] });
    await answers.next();
    const peer = subscribe(replays);
    await expect(answers.next()).rejects.toMatchObject({ code: "protocol/malformed" });
    expect(peer.got.length).toBeLessThanOrEqual(1);
  });

  it.each([
    ["a component that there is not", "nobody", "control/cannot-replay"],
    ["a source", "source", "control/cannot-replay"],
    ["a component that does not run", "sink", "control/component-not-running"],
    ["nobody", "", "control/invalid-replay"],
  ])("is refused to %s", async (_, componentId, code) => {
    const { requests, answers } = setUp();
    requests.send({ componentId, events: [] });
    await expect(answers.next()).rejects.toMatchObject({ code });
  });

  it("is refused while there is another one, which goes on", async () => {
    const { replays, requests, answers, client } = setUp();
    requests.send({ componentId: "processor", events: [] });
    await answers.next();
    const others = new Requests();
    others.send({ componentId: "processor", events: [] });
    await expect(replays.run(others, client.signal).next()).rejects.toMatchObject({ code: "control/replay-under-way" });
    expect(replays.host).toBeDefined();
  });

  it("gives the events of a key to the instance that has the others of that key", async () => {
    const { replays, requests, answers } = setUp({ partitionBy: "payload.key", replicas: 2 });
    requests.send({ componentId: "processor", events: [] });
    await answers.next();
    const peers = [subscribe(replays, "processor-1"), subscribe(replays, "processor-2")];
    const keys = Array.from({ length: 40 }, (_, n) => `k${n % 8}`);
    requests.send({ componentId: "", events: keys.map((key, n) => encoded(n, key)) });
    await until(() => peers[0]!.got.length + peers[1]!.got.length === 40);
    const keysOf = ({ got }: Peer): ReadonlySet<string> =>
      new Set(got.map(({ event: { payload } }) => (JSON.parse(payload.toString()) as { key: string }).key));
    const [one, two] = peers.map(keysOf) as [ReadonlySet<string>, ReadonlySet<string>];
    expect(one.size + two.size).toBe(8);
    expect(Math.min(one.size, two.size)).toBeGreaterThan(0);
  });

  it("reads no more of its client than may wait for the component", async () => {
    const { replays, requests, answers } = setUp();
    requests.send({ componentId: "processor", events: [] });
    await answers.next();
    const many = Array.from({ length: 1_000 }, (_, index) => encoded(index));
    for (let sent = 0; sent < 30; sent++) requests.send({ componentId: "", events: many });
    const { publisher } = replays.host!;
    await until(() => !publisher.hasRoom);
    for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(publisher.counters().inFlight).toBeLessThanOrEqual(16_384);
  });
});

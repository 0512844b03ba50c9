import { expect } from "vitest";
import { silentLogger } from "../../foundation/logger.ts";
import type { Upstream } from "../../protocol/records.ts";
import { Inlet } from "./inlet.ts";
import { hold, type ReceivedEvent, settle, settleRun } from "./received-event.ts";
import { type Break, type Entry, type Lie, ScriptedUpstream, type Told } from "./scripted-upstream.fake.ts";

const QUEUE = { minEvents: 6, maxEvents: 6, maxBytes: 2_000 };
const WINDOW = { maxEvents: 12, maxBytes: 3_000, queue: QUEUE };
const PATIENCE_MS = 10_000;

/** One event that was taken, in the hands of whoever works on it. */
interface Taken {
  readonly event: ReceivedEvent;
  readonly told: Told;
  /** What the topology had been when its stream was opened: since when the upstream has been there without a pause. */
  readonly epoch: number;
  receipts: number;
  /** It was settled when its stream was over for certain, so that no acknowledgement of it can have been lost. */
  late: boolean;
}

interface Peer {
  readonly upstream: ScriptedUpstream;
  /** In the topology. */
  present: boolean;
  completed: boolean;
  epoch: number;
  /** Of each stream, by its ordinal. */
  readonly epochs: Map<number, number>;
  readonly sent: Map<number, readonly Entry[]>;
  readonly taken: Map<number, Taken[]>;
  newest: number;
}

/** An inlet with three scripted upstream instances of two components, and the model of what it may do. */
export class ReceivingWorld {
  private readonly violations: string[] = [];
  private readonly inlet = new Inlet({
    who: { pipeline: "p", componentId: "down", instanceId: "down-1" },
    log: silentLogger,
    window: WINDOW,
  });
  private readonly peers: readonly Peer[];
  /** Everything that somebody still works on. */
  private readonly open: Taken[] = [];
  private ended = false;

  private constructor() {
    this.peers = [
      ["a", "a-1"],
      ["a", "a-2"],
      ["b", "b-1"],
    ].map(([componentId, instanceId]) => this.makePeer(componentId!, instanceId!));
  }

  static async start(): Promise<ReceivingWorld> {
    const world = new ReceivingWorld();
    for (const { upstream } of world.peers) await upstream.listen();
    world.tell();
    return world;
  }

  send(u: number, count: number, filling: number): void {
    const { upstream } = this.peers[u]!;
    upstream.produce(count, filling);
    upstream.send(count);
  }

  take(batches: number): void {
    for (let i = 0; i < batches; i++) {
      const events = takeFrom(this.inlet);
      if (events.length === 0) return;
      for (const event of events) this.took(event);
    }
  }

  /** Settles some receipts, from anywhere among those that are open. */
  settle(pick: number, count: number): void {
    for (let i = 0; i < count && this.open.length > 0; i++) {
      const index = (pick + i * 7) % this.open.length;
      const taken = this.open[index]!;
      if (--taken.receipts === 0) this.open.splice(index, 1);
      const peer = this.peers.find(({ upstream }) => upstream.instanceId === taken.told.upstream)!;
      taken.late = taken.told.stream < peer.newest;
      settle(taken.event);
    }
  }

  /** Somebody is through with all that is in hand, as sinks are with a batch. */
  settleAll(): void {
    for (const taken of this.open) {
      taken.receipts--;
      const peer = this.peers.find(({ upstream }) => upstream.instanceId === taken.told.upstream)!;
      taken.late = taken.told.stream < peer.newest;
    }
    settleAll(this.open.map(({ event }) => event));
    for (const [index, { receipts }] of [...this.open.entries()].reverse()) {
      if (receipts === 0) this.open.splice(index, 1);
    }
  }

  hold(pick: number): void {
    const taken = this.open[pick % Math.max(1, this.open.length)];
    if (taken === undefined) return;
    taken.receipts++;
    hold(taken.event);
  }

  break(u: number, how: Break, toSibling: number): void {
    const { upstream } = this.peers[u]!;
    if (upstream.stream === undefined) return;
    upstream.break(how);
    for (const entry of upstream.owed.slice(0, toSibling)) entry.gone = true;
  }

  lie(u: number, what: Lie): void {
    this.peers[u]!.upstream.lie(what);
  }

  async away(u: number, abruptly: boolean): Promise<void> {
    await this.peers[u]!.upstream.away(abruptly);
  }

  async back(u: number): Promise<void> {
    const { upstream } = this.peers[u]!;
    if (!upstream.listening) await upstream.listen();
    this.tell();
  }

  async move(u: number): Promise<void> {
    await this.peers[u]!.upstream.listen(true);
    this.tell();
  }

  remove(u: number): void {
    const peer = this.peers[u]!;
    if (!peer.present) return;
    peer.present = false;
    this.tell();
  }

  add(u: number): void {
    const peer = this.peers[u]!;
    if (peer.present && !peer.completed) return;
    peer.present = true;
    peer.completed = false;
    peer.upstream.resume();
    peer.epoch++;
    this.tell();
  }

  /** The upstream has ended for good: it says so on its stream, or only the control plane does. */
  async complete(u: number, byTopology: boolean): Promise<void> {
    const peer = this.peers[u]!;
    const { upstream } = peer;
    if (!peer.present || peer.completed || upstream.owed.length > 0) return;
    if (!byTopology) {
      upstream.end();
      await this.until("the stream ends", () => upstream.stream === undefined);
    }
    peer.completed = true;
    this.tell();
  }

  /** Waits until the receiver has seen all that was sent to it, and every break. */
  async quiet(): Promise<void> {
    await this.until("all that was sent has come", () => this.isQuiet);
  }

  /** Everybody is there and sends, whoever works finishes: everything is acknowledged, and the end is found. */
  async finish(): Promise<void> {
    for (const [u, peer] of this.peers.entries()) {
      if (peer.completed || !peer.present) this.add(u);
      await this.back(u);
    }
    this.tell();
    await this.until("everything is acknowledged", () => {
      for (const { upstream } of this.peers) upstream.send(5);
      this.take(10);
      this.settle(0, Number.POSITIVE_INFINITY);
      return this.peers.every(({ upstream }) => upstream.owed.length === 0 && upstream.stream !== undefined);
    });
    await this.quiet();
    await this.until("credit has grown by what was acknowledged", () =>
      this.peers.every(({ upstream }) => {
        const { acked, credit } = upstream.stream!;
        return credit.maxSequence > acked + (QUEUE.maxEvents * 3) / 4 - 1;
      }),
    );
    expect(this.inlet.finished).toBe(false);
    for (const { upstream } of this.peers) upstream.end();
    await this.until("the inlet is finished", () => this.inlet.finished);
    await this.inlet.close(AbortSignal.timeout(PATIENCE_MS));
    this.ended = true;
  }

  /** Stops and closes while some are still at work. */
  async close(pick: number, count: number): Promise<void> {
    await this.quiet();
    // Of what is in its queue it would be hard to say whether it comes again after an acknowledgement that was lost.
    this.take(Number.POSITIVE_INFINITY);
    const live = this.peers
      .filter(({ upstream }) => upstream.stream !== undefined)
      .map((peer) => peer.upstream.stream!);
    this.inlet.stop();
    this.settle(pick, count);
    const expected = live.map((stream) => {
      const peer = this.peers.find(({ upstream }) => upstream.stream === stream)!;
      const first = stream.sent.findIndex(({ n }) => peer.taken.get(n)!.at(-1)!.receipts > 0);
      return first < 0 ? stream.sent.length : first;
    });
    const closing = AbortSignal.timeout(PATIENCE_MS);
    await this.inlet.close(closing);
    expect(closing.aborted).toBe(false);
    expect(live.map((stream) => stream.acked)).toEqual(expected);
    this.settle(0, Number.POSITIVE_INFINITY);
    await new Promise((resolve) => setImmediate(resolve));
    expect(live.map((stream) => stream.acked)).toEqual(expected);
    this.ended = true;
  }

  /** What holds after every step. */
  check(): void {
    expect(this.violations).toEqual([]);
    if (this.ended) return;
    expect(this.inlet.counters().inFlight).toBeLessThanOrEqual(this.peers.length * WINDOW.maxEvents);
  }

  async dispose(): Promise<void> {
    await this.inlet.close(AbortSignal.abort());
    for (const { upstream } of this.peers) await upstream.close();
  }

  private makePeer(componentId: string, instanceId: string): Peer {
    const upstream = new ScriptedUpstream(componentId, instanceId, this.violations);
    const peer: Peer = {
      upstream,
      present: true,
      completed: false,
      epoch: 0,
      epochs: new Map(),
      sent: new Map(),
      taken: new Map(),
      newest: 0,
    };
    upstream.window = { maxSequence: WINDOW.maxEvents, maxBytes: WINDOW.maxBytes };
    upstream.isDone = ({ n }) => this.isDone(peer, n);
    upstream.onOpened = ({ ordinal, sent }) => {
      peer.sent.set(ordinal, sent);
      peer.epochs.set(ordinal, peer.epoch);
      peer.newest = ordinal;
    };
    return peer;
  }

  private isDone(peer: Peer, n: number): boolean {
    return peer.taken.get(n)?.some(({ receipts }) => receipts === 0) ?? false;
  }

  private took(event: ReceivedEvent): void {
    const told = event.json() as Told;
    const peer = this.peers.find(({ upstream }) => upstream.instanceId === told.upstream);
    if (peer === undefined) throw new Error(`an event of nobody: ${told.upstream}`);
    expect(event.upstream).toBe(peer.upstream.componentId);
    expect(event.id).toBe(`${told.upstream}:${told.n}`);
    const taken: Taken = { event, told, epoch: peer.epochs.get(told.stream)!, receipts: 1, late: false };
    // Whoever opens a stream has broken with the one before; what was not taken of it then comes again, or goes to others.
    if (told.stream < peer.newest) this.violations.push(`${event.id} came by a stream that is over, and was taken`);
    if (!peer.present) this.violations.push(`${event.id} came from an upstream that is gone, and was taken`);
    const before = peer.taken.get(told.n) ?? [];
    for (const earlier of before) {
      if (earlier.epoch !== taken.epoch) continue;
      if (earlier.receipts > 0) this.violations.push(`${event.id} is worked on twice at once`);
      // What is done and not acknowledged when its stream breaks is known when the next stream brings it again.
      else if (told.stream === earlier.told.stream + 1 && this.cannotBeAcknowledged(peer, earlier))
        this.violations.push(`${event.id} was done before, and came again`);
    }
    peer.taken.set(told.n, [...before, taken]);
    this.open.push(taken);
  }

  /** No acknowledgement on the stream by which it came can have covered it. */
  private cannotBeAcknowledged(peer: Peer, { told, late }: Taken): boolean {
    if (late) return true;
    const sent = peer.sent.get(told.stream)!;
    return sent
      .slice(
        0,
        sent.findIndex(({ n }) => n === told.n),
      )
      .some(({ n }) => !this.isDone(peer, n));
  }

  private get isQuiet(): boolean {
    let owed = 0;
    for (const { upstream, present, completed } of this.peers) {
      const { stream } = upstream;
      if (stream === undefined) {
        if (present && !completed && upstream.listening) return false;
        continue;
      }
      if (!present || completed) return false;
      owed += stream.sent.length - stream.acked;
    }
    return this.inlet.counters().inFlight === owed;
  }

  /** Tells the inlet the topology. */
  private tell(): void {
    const components = [...new Set(this.peers.map(({ upstream }) => upstream.componentId))];
    const upstreams: Upstream[] = components.map((componentId) => {
      const peers = this.peers.filter(({ upstream, present }) => upstream.componentId === componentId && present);
      return {
        componentId,
        types: [],
        deadLetters: false,
        desiredInstances: this.peers.filter(({ upstream }) => upstream.componentId === componentId).length,
        completed: false,
        instances: peers.map(({ upstream, completed }) => ({
          instanceId: upstream.instanceId,
          address: upstream.address,
          completed,
        })),
      };
    });
    this.inlet.update(upstreams);
  }

  private async until(what: string, condition: () => boolean): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS;
    while (!condition()) {
      this.check();
      if (Date.now() > deadline) throw new Error(`it never came to this: ${what}\n${this.describe()}`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  private describe(): string {
    const peers = this.peers.map(({ upstream, present, completed }) => {
      const { stream } = upstream;
      const open = stream === undefined ? "none" : `#${stream.ordinal}, ${stream.acked} of ${stream.sent.length} acked`;
      const owed = upstream.owed.map(({ n }) => n).join(" ");
      const state = `${present ? "" : "not "}present, ${completed ? "" : "not "}completed`;
      return `${upstream.instanceId}: ${state}, stream ${open}, owed ${owed}`;
    });
    return [...peers, JSON.stringify(this.inlet.counters())].join("\n");
  }
}

/** Settles all of them, those at once that came by one stream, one after the other, as sinks do. */
export function settleAll(events: readonly ReceivedEvent[]): void {
  for (let i = 0; i < events.length; ) {
    const { origin, sequence } = events[i]!;
    let count = 1;
    while (events[i + count]?.origin === origin && events[i + count]?.sequence === sequence + count) count++;
    settleRun(events.slice(i, i + count));
    i += count;
  }
}

/** The only place that knows in which form an inlet gives its events. */
function takeFrom(inlet: Inlet): readonly ReceivedEvent[] {
  return inlet.take() ?? [];
}

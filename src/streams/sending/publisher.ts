import { FlowctlError } from "../../foundation/errors.ts";
import type { EventView } from "../../protocol/event-view.ts";
import type { Downstream, InFlightAllowance } from "../../protocol/records.ts";
import type { MemoryPool } from "../../protocol/slab-pool.ts";
import type { Credit } from "../../protocol/stream-codec.ts";
import type { Limits } from "../limits.ts";
import type { Receipt } from "../receipt.ts";
import { EventLog } from "./event-log.ts";
import type { Group } from "./group.ts";
import { Groups } from "./groups.ts";
import type { DiskHome } from "./lanes.ts";
import { MAX_BATCH_EVENTS, type Member, type MemberTransport } from "./member.ts";
import { Room } from "./room.ts";

export interface PublisherOptions {
  /** How far a group without a buffer may be behind before there is no room. Defaults: 16,384 events, 8 MiB. */
  readonly maxEvents?: number;
  readonly maxBytes?: number;
  /** In which events that are published may lie: retained as long as they are needed. */
  readonly memory?: MemoryPool;
  /** Left out: buffers on disk are none. */
  readonly disk?: DiskHome;
  /** Runs `action` soon, after what is being done now. Default `setImmediate`. */
  readonly defer?: (action: () => void) => void;
  /** Runs `action` after `ms`; returns how to call it off. Default `setTimeout`. */
  readonly schedule?: (ms: number, action: () => void) => () => void;
}

export interface PublisherCounters {
  readonly eventsOut: number;
  readonly bytesOut: number;
  readonly inFlight: number;
  /** Dropped because a group's buffer was full. */
  readonly dropped: number;
  /** Per group: what waits to be sent. */
  readonly waiting: Readonly<Record<string, number>>;
  /** Some group has something waiting that nobody can take. */
  readonly blocked: boolean;
}

/**
 * The sending side of a component: takes events in order, keeps each until every group that wants it has acknowledged
 * it, and then settles its receipt. Knows nothing of gRPC: members are attached with a transport.
 *
 * Memory is bounded as long as the caller awaits `room` before it publishes more. A group that has no member yet holds
 * its events up like a slow one, so that nothing is lost before the first instance has connected.
 */
export class Publisher {
  private readonly log: EventLog;
  private readonly groups: Groups;
  private readonly space: Room;
  private readonly defer: (action: () => void) => void;
  private readonly usual: Limits;
  /** Shared with the groups. */
  private readonly limits: { maxEvents: number; maxBytes: number };
  /** The groups that want the event that is being admitted; kept, so that none is made for each event. Nothing that admits one publishes another. */
  private readonly wanting: Group[] = [];
  private waiters: { readonly isOver: () => boolean; readonly resolve: () => void }[] = [];
  private deferred = false;
  private sincePump = 0;
  private ended = false;
  private resting = false;
  private eventsOut = 0;
  private bytesOut = 0;

  constructor(options: PublisherOptions = {}) {
    this.defer = options.defer ?? setImmediate;
    this.usual = { maxEvents: options.maxEvents ?? 16_384, maxBytes: options.maxBytes ?? 8 * 1024 * 1024 };
    this.limits = { ...this.usual };
    this.log = new EventLog(options.memory);
    this.groups = new Groups({
      log: this.log,
      memory: options.memory,
      limits: this.limits,
      disk: options.disk === undefined ? undefined : { ...options.disk, leaving: new Map() },
      schedule: options.schedule ?? afterTimeout,
      progressed: () => this.progressed(),
    });
    this.space = new Room(this.log, () => this.groups.all);
  }

  /**
   * The groups below, as the topology says. A group that stays keeps what it has, whatever changes of its buffer, its types or
   * its key. A new one gets what is published from now on, and what its buffer on disk has from before. One that drains gets
   * what it is owed and nothing more, and is told the end. One that is gone has nothing to acknowledge any more: what it was
   * owed goes to those that take over from it, and what is in its buffer on disk stays there.
   */
  setGroups(downstreams: readonly Downstream[]): void {
    this.groups.redefine(downstreams);
    this.space.look();
    if (this.ended) for (const group of this.groups.all) group.end();
    if (this.resting) for (const group of this.groups.all) group.rest();
    // A group that stays may have been given a larger buffer, or one that holds nobody up.
    this.progressed();
  }

  /** What groups without a buffer of their own may be behind, besides the usual. */
  setInFlightAllowance({ events, bytes }: InFlightAllowance): void {
    this.limits.maxEvents = this.usual.maxEvents + events;
    this.limits.maxBytes = this.usual.maxBytes + bytes;
    this.space.look();
    this.progressed();
  }

  /**
   * Takes one event. `receipt` is settled exactly once with `tag`: when every group that wants the event has acknowledged
   * it, at once when none does. Throws `stream/ended` after `end`.
   */
  publish(event: EventView, receipt: Receipt, tag = 0, deadLetter = false): void {
    if (this.ended)
      throw new FlowctlError({ code: "stream/ended", kind: "conflict", message: "nothing can be sent after the end" });
    const { size } = event;
    const { wanting } = this;
    const groups = this.groups.all;
    let wanted = 0;
    // A damaged event is found out before anything is done with it.
    for (let i = 0; i < groups.length; i++) if (groups[i]!.wants(event, deadLetter)) wanting[wanted++] = groups[i]!;
    this.eventsOut++;
    this.bytesOut += size;
    this.space.spend(size);
    let pending = 0;
    for (let i = 0; i < wanted; i++) if (wanting[i]!.admit(event)) pending++;
    if (pending > 0) this.log.append(event, receipt, tag, pending, deadLetter);
    else {
      receipt.settle(tag);
      if (wanted === 0) return;
    }
    // A whole batch does not wait for the end of this turn of the event loop.
    if (++this.sincePump >= MAX_BATCH_EVENTS) this.pump();
    else if (!this.deferred) {
      this.deferred = true;
      this.defer(this.onDeferred);
    }
  }

  /** Undefined when more may be published now; else a promise that resolves when it may. Never rejects. */
  room(): Promise<void> | undefined {
    return this.space.wait();
  }

  get hasRoom(): boolean {
    return this.space.isLeft;
  }

  /** From now on `room` is always there: for a component that is stopping, which must not wait for its downstreams. */
  disableBackpressure(): void {
    this.space.removeLimits();
    this.progressed();
  }

  /** The largest mark that it was given for any group. */
  get heardMark(): number {
    return this.groups.heardMark;
  }

  /**
   * Throws where a stream of the group cannot be opened: `stream/unknown-group` when the topology has no such group, and
   * `stream/not-ready` before `setGroups` was called.
   */
  requireGroup(groupId: string): void {
    this.groups.require(groupId);
  }

  /**
   * Opens the stream of a downstream instance; throws as `requireGroup` does. May send at once.
   * The caller feeds the member with what the instance says and calls `detach` when the stream has ended.
   */
  attach(groupId: string, instanceId: string, transport: MemberTransport, credit: Credit): Member {
    const group = this.groups.require(groupId);
    const replaced = new FlowctlError({
      code: "stream/replaced",
      kind: "conflict",
      message: `replaced by a newer stream of ${instanceId}`,
    });
    return group.attach(instanceId, transport, credit, replaced);
  }

  detach(groupId: string, member: Member): void {
    this.groups.get(groupId)?.detach(member);
  }

  /** Nothing will be published any more. Each group is told so once it has acknowledged everything. */
  end(): void {
    this.ended = true;
    for (const group of this.groups.all) group.end();
    this.progressed();
  }

  /** Resolves when every group has acknowledged everything, or has it in its buffer on disk, or in one that drops. */
  acknowledged(): Promise<void> {
    return this.once(() => this.log.unsettled === 0);
  }

  /** Resolves when every group has acknowledged everything, what is in buffers included. */
  drained(): Promise<void> {
    return this.once(() => this.log.unsettled === 0 && this.groups.all.every((group) => group.isIdle));
  }

  /**
   * Gives nothing more to anybody, for a component that is stopping. Resolves when everything that was given is acknowledged or
   * given back: so what a buffer on disk keeps for the next run is only what nobody has.
   */
  rested(): Promise<void> {
    this.rest();
    return this.once(() => this.groups.all.every(({ held }) => held === 0));
  }

  private rest(): void {
    this.resting = true;
    for (const group of this.groups.all) group.rest();
  }

  /** Groups that drain and have acknowledged everything they were owed. */
  drainedGroups(): readonly string[] {
    return this.groups.all.filter(({ hasDrained }) => hasDrained).map(({ id }) => id);
  }

  /** By group: the last mark before which nothing is owed to it; see `Downstream.mark`. */
  settledMarks(): Readonly<Record<string, number>> {
    const marks = this.groups.all.map(({ id, settledMark }) => [id, settledMark] as const);
    return Object.fromEntries(marks.filter(([, mark]) => mark > 0));
  }

  /** Whether a group has yet to acknowledge what it was owed at its last mark. */
  get awaitsMarks(): boolean {
    return this.groups.all.some(({ awaitsMark }) => awaitsMark);
  }

  /** How many downstream instances are connected, in all groups. */
  get connected(): number {
    let count = 0;
    for (const group of this.groups.all) count += group.connected;
    return count;
  }

  /** Gives nothing more to anybody, and closes the buffers on disk; what is in them stays for the next run. */
  async close(): Promise<void> {
    this.rest();
    await this.groups.close();
  }

  counters(): PublisherCounters {
    const waiting: Record<string, number> = {};
    let blocked = false;
    for (const group of this.groups.all) {
      waiting[group.id] = group.waiting;
      blocked ||= group.isBlocked;
    }
    return {
      eventsOut: this.eventsOut,
      bytesOut: this.bytesOut,
      inFlight: this.log.unsettled,
      dropped: this.groups.dropped,
      waiting,
      blocked,
    };
  }

  private readonly onDeferred = (): void => {
    this.deferred = false;
    this.pump();
  };

  private pump(): void {
    this.sincePump = 0;
    for (const group of this.groups.all) group.pump();
  }

  private progressed(): void {
    this.space.progressed();
    if (this.waiters.length === 0) return;
    const over = this.waiters.filter(({ isOver }) => isOver());
    this.waiters = this.waiters.filter((waiter) => !over.includes(waiter));
    for (const { resolve } of over) resolve();
  }

  private once(isOver: () => boolean): Promise<void> {
    if (isOver()) return Promise.resolve();
    this.pump();
    return new Promise((resolve) => this.waiters.push({ isOver, resolve }));
  }
}

function afterTimeout(ms: number, action: () => void): () => void {
  const timer = setTimeout(action, ms);
  return () => clearTimeout(timer);
}

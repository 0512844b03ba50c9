import { FlowctlError } from "../../foundation/errors.ts";
import type { EventView } from "../../protocol/event-view.ts";
import type { Downstream, Slack } from "../../protocol/records.ts";
import type { MemoryPool } from "../../protocol/slab-pool.ts";
import type { Credit } from "../../protocol/stream-codec.ts";
import { type Limits, UNLIMITED } from "../limits.ts";
import type { Receipt } from "../receipt.ts";
import { EventLog, MAX_GAPS } from "./event-log.ts";
import { Group, type GroupEnvironment } from "./group.ts";
import type { DiskHome } from "./lanes.ts";
import { MAX_BATCH_EVENTS, type Member, type MemberTransport } from "./member.ts";

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
  private readonly groups = new Map<string, Group>();
  private list: Group[] = [];
  /** Of these, those that take everything, and those that have to be asked about each event. */
  private open: Group[] = [];
  private choosing: Group[] = [];
  /** What was published since the open groups were told. */
  private untoldEvents = 0;
  private untoldBytes = 0;
  /** There certainly is room until so much has been published: what has become free meanwhile is not counted in. */
  private roomEvents = 0;
  private roomBytes = 0;
  private readonly defer: (action: () => void) => void;
  private readonly environment: GroupEnvironment;
  private readonly usual: Limits;
  /** Shared with the groups. */
  private readonly limits: { maxEvents: number; maxBytes: number };
  private roomWaiter: { promise: Promise<void>; resolve: () => void } | undefined;
  private waiters: { readonly isOver: () => boolean; readonly resolve: () => void }[] = [];
  private deferred = false;
  private sincePump = 0;
  /** `setGroups` was called. */
  private informed = false;
  /** The largest mark that it was given for any group. */
  heardMark = 0;
  private ended = false;
  private relaxed = false;
  private resting = false;
  private eventsOut = 0;
  private bytesOut = 0;
  /** By groups that are gone. */
  private droppedBefore = 0;
  /** Groups that are gone, until their buffers on disk are closed. */
  private readonly closing = new Set<Promise<void>>();

  constructor(options: PublisherOptions = {}) {
    this.defer = options.defer ?? setImmediate;
    this.usual = { maxEvents: options.maxEvents ?? 16_384, maxBytes: options.maxBytes ?? 8 * 1024 * 1024 };
    this.limits = { ...this.usual };
    this.log = new EventLog(options.memory);
    this.environment = {
      log: this.log,
      memory: options.memory,
      limits: this.limits,
      disk: options.disk === undefined ? undefined : { ...options.disk, leaving: new Map() },
      schedule: options.schedule ?? afterTimeout,
      progressed: () => this.progressed(),
    };
  }

  /**
   * The groups below, as the topology says. A group that stays keeps what it has, whatever changes of its buffer, its types or
   * its key. A new one gets what is published from now on, and what its buffer on disk has from before. One that drains gets
   * what it is owed and nothing more, and is told the end. One that is gone has nothing to acknowledge any more: what it was
   * owed goes to those that take over from it, and what is in its buffer on disk stays there.
   */
  setGroups(downstreams: readonly Downstream[]): void {
    this.informed = true;
    this.tellGroups();
    const wanted = byGroup(downstreams);
    const gone = [...this.groups].filter(([id]) => !wanted.has(id));
    for (const [id, definitions] of wanted) {
      const plain = definitions.map(({ mark: _, ...definition }) => definition);
      const existing = this.groups.get(id);
      if (existing !== undefined) existing.redefine(plain);
      else this.groups.set(id, new Group(id, plain, this.environment));
      for (const { mark = 0 } of definitions) {
        this.heardMark = Math.max(this.heardMark, mark);
        this.groups.get(id)!.setMark(mark);
      }
    }
    for (const [id, group] of gone) {
      this.groups.delete(id);
      const heirs = [...wanted]
        .filter(([, definitions]) => definitions.some(({ takesOver = [] }) => takesOver.includes(id)))
        .map(([heir]) => this.groups.get(heir)!);
      group.dissolve(
        new FlowctlError({
          code: "stream/group-removed",
          kind: "not-found",
          message: `${id} was removed from the topology of this component`,
        }),
        heirs,
      );
      this.droppedBefore += group.dropped;
      const closing: Promise<void> = group.close().finally(() => this.closing.delete(closing));
      this.closing.add(closing);
    }
    this.list = [...this.groups.values()];
    this.open = this.list.filter((group) => group.takesEverything);
    this.choosing = this.list.filter((group) => !group.takesEverything);
    this.lookForRoom();
    if (this.ended) for (const group of this.list) group.end();
    if (this.resting) for (const group of this.list) group.rest();
    // A group that stays may have been given a larger buffer, or one that holds nobody up.
    this.progressed();
  }

  /** What groups without a buffer of their own may be behind, besides the usual. */
  setSlack(slack: Slack): void {
    this.limits.maxEvents = this.usual.maxEvents + slack.events;
    this.limits.maxBytes = this.usual.maxBytes + slack.bytes;
    this.lookForRoom();
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
    const groups = deadLetter ? this.list : this.choosing;
    // A damaged event is found out before anything is done with it.
    let wanting: Group[] | undefined;
    for (let i = 0; i < groups.length; i++) {
      const group = groups[i]!;
      if (group.wants(event, deadLetter)) wanting = [...(wanting ?? []), group];
    }
    this.eventsOut++;
    this.bytesOut += size;
    let pending = 0;
    if (!deadLetter) {
      pending = this.open.length;
      this.untoldEvents++;
      this.untoldBytes += size;
    }
    if (wanting !== undefined) for (const group of wanting) if (group.admit(event)) pending++;
    if (pending > 0) this.log.append(event, receipt, tag, pending, deadLetter);
    else {
      receipt.settle(tag);
      if (wanting === undefined) return;
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
    if (this.hasRoom) return undefined;
    if (this.roomWaiter === undefined) {
      let resolve = (): void => undefined;
      const promise = new Promise<void>((done) => {
        resolve = done;
      });
      this.roomWaiter = { promise, resolve };
    }
    return this.roomWaiter.promise;
  }

  /** Holds nobody up any more: `room` is always there from now on. For a component that is stopping. */
  relax(): void {
    this.relaxed = true;
    this.progressed();
  }

  get hasRoom(): boolean {
    return (this.eventsOut < this.roomEvents && this.bytesOut < this.roomBytes) || this.lookForRoom();
  }

  /** Asks every group how much may be published before any of them is full. Returns whether anything may. */
  private lookForRoom(): boolean {
    this.tellGroups();
    let { maxEvents, maxBytes } = UNLIMITED;
    if (!this.relaxed) {
      maxEvents = this.spanLeft();
      for (const { room } of this.list) {
        maxEvents = Math.min(maxEvents, room.maxEvents);
        maxBytes = Math.min(maxBytes, room.maxBytes);
      }
    }
    this.roomEvents = this.eventsOut + maxEvents;
    this.roomBytes = this.bytesOut + maxBytes;
    return maxEvents > 0 && maxBytes > 0;
  }

  /** How many events may be published before somebody has to look again how many gaps are in the log. */
  private spanLeft(): number {
    const { log } = this;
    const left = MAX_GAPS - (log.next - log.base);
    return left > 0 ? left : Math.min(MAX_BATCH_EVENTS, MAX_GAPS - log.gaps);
  }

  /** Open groups learn how much was published, before anybody asks them what they have. */
  private tellGroups(): void {
    for (const group of this.open) group.take(this.untoldEvents, this.untoldBytes);
    this.untoldEvents = 0;
    this.untoldBytes = 0;
  }

  /**
   * Throws where a stream of the group cannot be opened: `stream/unknown-group` when the topology has no such group, and
   * `stream/not-ready` before `setGroups` was called.
   */
  requireGroup(groupId: string): void {
    this.groupOf(groupId);
  }

  /**
   * Opens the stream of a downstream instance; throws as `requireGroup` does. May send at once.
   * The caller feeds the member with what the instance says and calls `detach` when the stream has ended.
   */
  attach(groupId: string, instanceId: string, transport: MemberTransport, credit: Credit): Member {
    const group = this.groupOf(groupId);
    const replaced = new FlowctlError({
      code: "stream/replaced",
      kind: "conflict",
      message: `replaced by a newer stream of ${instanceId}`,
    });
    return group.attach(instanceId, transport, credit, replaced);
  }

  private groupOf(groupId: string): Group {
    const group = this.groups.get(groupId);
    if (group !== undefined) return group;
    if (this.informed) {
      throw new FlowctlError({
        code: "stream/unknown-group",
        kind: "not-found",
        message: `${groupId} takes no input from this component`,
        fix: `add this component to the inputs of ${groupId}`,
      });
    }
    throw new FlowctlError({
      code: "stream/not-ready",
      kind: "unavailable",
      message: "this component has not received its topology yet",
      fix: "reconnect in a moment",
    });
  }

  detach(groupId: string, member: Member): void {
    this.groups.get(groupId)?.detach(member);
  }

  /** Nothing will be published any more. Each group is told so once it has acknowledged everything. */
  end(): void {
    this.ended = true;
    this.tellGroups();
    for (const group of this.list) group.end();
    this.progressed();
  }

  /** Resolves when every group has acknowledged everything, or has it in its buffer on disk, or in one that drops. */
  acknowledged(): Promise<void> {
    return this.once(() => this.log.unsettled === 0);
  }

  /** Resolves when every group has acknowledged everything, what is in buffers included. */
  drained(): Promise<void> {
    return this.once(() => this.log.unsettled === 0 && this.list.every((group) => group.isIdle));
  }

  /**
   * Gives nothing more to anybody, for a component that is stopping. Resolves when everything that was given is acknowledged or
   * given back: so what a buffer on disk keeps for the next run is only what nobody has.
   */
  rested(): Promise<void> {
    this.rest();
    return this.once(() => this.list.every(({ held }) => held === 0));
  }

  private rest(): void {
    this.resting = true;
    for (const group of this.list) group.rest();
  }

  /** Groups that drain and have acknowledged everything they were owed. */
  drainedGroups(): readonly string[] {
    return this.list.filter(({ hasDrained }) => hasDrained).map(({ id }) => id);
  }

  /** By group: the last mark before which nothing is owed to it; see `Downstream.mark`. */
  settledMarks(): Readonly<Record<string, number>> {
    const marks = this.list.map(({ id, settledMark }) => [id, settledMark] as const);
    return Object.fromEntries(marks.filter(([, mark]) => mark > 0));
  }

  /** Whether a group has yet to acknowledge what it was owed at its last mark. */
  get awaitsMarks(): boolean {
    return this.list.some(({ awaitsMark }) => awaitsMark);
  }

  /** How many downstream instances are connected, in all groups. */
  get connected(): number {
    let count = 0;
    for (const group of this.list) count += group.connected;
    return count;
  }

  /** Gives nothing more to anybody, and closes the buffers on disk; what is in them stays for the next run. */
  async close(): Promise<void> {
    this.rest();
    for (const group of this.list) await group.close();
    await Promise.all(this.closing);
  }

  counters(): PublisherCounters {
    this.tellGroups();
    const waiting: Record<string, number> = {};
    let blocked = false;
    let dropped = this.droppedBefore;
    for (const group of this.list) {
      dropped += group.dropped;
      waiting[group.id] = group.waiting;
      blocked ||= group.isBlocked;
    }
    return {
      eventsOut: this.eventsOut,
      bytesOut: this.bytesOut,
      inFlight: this.log.unsettled,
      dropped,
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
    for (const group of this.list) group.pump();
  }

  private progressed(): void {
    if (this.roomWaiter !== undefined && this.hasRoom) {
      const { resolve } = this.roomWaiter;
      this.roomWaiter = undefined;
      resolve();
    }
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

function byGroup(downstreams: readonly Downstream[]): Map<string, Downstream[]> {
  const groups = new Map<string, Downstream[]>();
  for (const downstream of downstreams) {
    const known = groups.get(downstream.componentId);
    if (known === undefined) groups.set(downstream.componentId, [downstream]);
    else known.push(downstream);
  }
  return groups;
}

function afterTimeout(ms: number, action: () => void): () => void {
  const timer = setTimeout(action, ms);
  return () => clearTimeout(timer);
}

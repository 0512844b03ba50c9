import { isDeepStrictEqual } from "node:util";
import { backoffDelay } from "../foundation/backoff.ts";
import type { FlowctlError } from "../foundation/errors.ts";
import type { EventView } from "../protocol/event-view.ts";
import type { BufferSpec, Downstream } from "../protocol/records.ts";
import type { SharedMemory } from "../protocol/slab-pool.ts";
import type { Credit } from "../protocol/stream-codec.ts";
import type { EventLog } from "./event-log.ts";
import { GroupBudget, type Limits } from "./group-budget.ts";
import { KeySlots } from "./key-slots.ts";
import { Member, type MemberTransport, NO_SLOT } from "./member.ts";
import type { KeyReader } from "./partition-key.ts";

/** What one of several members is given at once, in events. */
const MAX_SHARE = 64;

export interface GroupEnvironment {
  readonly log: EventLog;
  readonly memory: SharedMemory | undefined;
  /** What a group without a buffer of its own may be behind. */
  readonly limits: Limits;
  /** Runs `action` after `ms`; returns how to call it off. */
  schedule(ms: number, action: () => void): () => void;
  /** Told whenever an acknowledgement may have emptied the log or made room. */
  progressed(): void;
}

/**
 * All instances of one downstream component. It has its own cursor over the log; every event that it wants goes to one
 * of its members, and what a member did not acknowledge when it left goes to another, before anything newer.
 */
export class Group {
  readonly id: string;
  private readonly environment: GroupEnvironment;
  private readonly key: KeyReader | undefined;
  private readonly slots: KeySlots | undefined;
  private readonly members = new Map<string, Member>();
  private definitions: readonly Downstream[];
  private edges: readonly Edge[];
  /** Some edge takes every event that is no dead letter. */
  private isOpen: boolean;
  private readonly budget: GroupBudget;
  private cursor: number;
  /** Positions to be sent again, ascending. */
  private again: number[] = [];
  private readonly refusals = new Map<number, number>();
  private readonly delayed = new Map<number, () => void>();
  /** Positions that were dropped, and not passed by the cursor yet. */
  private readonly passed = new Set<number>();
  private ending = false;
  private blocked = false;
  private pumping = false;

  /** @param definitions What the topology says of the group: one edge, or two when dead letters go there as well. */
  constructor(
    id: string,
    definitions: readonly Downstream[],
    environment: GroupEnvironment,
    key: KeyReader | undefined,
  ) {
    this.id = id;
    this.definitions = definitions;
    this.edges = definitions.map(edgeOf);
    this.isOpen = this.edges.some(takesEverything);
    this.budget = new GroupBudget(bufferOf(definitions), environment.limits);
    this.environment = environment;
    this.cursor = environment.log.next;
    this.key = key;
    this.slots = key === undefined ? undefined : new KeySlots();
  }

  get isBlocked(): boolean {
    return this.blocked;
  }

  /** Events that it has not been sent yet, or has to be sent again. */
  get waiting(): number {
    return this.environment.log.next - this.cursor + this.again.length + this.delayed.size;
  }

  get connected(): number {
    return this.members.size;
  }

  /** Events that were dropped because its buffer was full. */
  get dropped(): number {
    return this.budget.dropped;
  }

  /** What may be published as far as this group is concerned; nothing once it is zero or less. */
  get room(): Limits {
    return this.budget.room;
  }

  /**
   * Whether every event that is no dead letter has to reach this group, whatever waits for it already. It is then told of them
   * by `take`, sooner or later, instead of being asked about each.
   */
  get takesEverything(): boolean {
    return this.isOpen && this.budget.whenFull === "block";
  }

  /** So many events, of so many bytes together, are in the log for it since it was told last. */
  take(events: number, bytes: number): void {
    this.budget.take(events, bytes);
  }

  /**
   * Whether it owes an acknowledgement of an event although it has acknowledged `span` newer ones. A group that drops never
   * is, nor one that wants only some events: what it may fall behind is for its buffer to say.
   */
  isBehind(span: number): boolean {
    if (this.budget.whenFull !== "block" || !this.isOpen) return false;
    let oldest = Math.min(this.cursor, this.again[0] ?? this.cursor, ...this.delayed.keys());
    for (const member of this.members.values()) oldest = Math.min(oldest, member.oldest ?? oldest);
    return this.environment.log.next - oldest - this.budget.outstanding >= span;
  }

  /** Whether an event that is published now has to reach this group. */
  wants(event: EventView, deadLetter: boolean): boolean {
    const { edges } = this;
    for (let i = 0; i < edges.length; i++) {
      const edge = edges[i]!;
      if (edge.deadLetters === deadLetter && (edge.types === undefined || edge.types.has(event.type))) return true;
    }
    return false;
  }

  /**
   * Takes responsibility for an event that it wants, or, when its buffer is full and says so, drops it: false. Either may
   * drop the oldest that was not sent yet. A dropped event that is in the log all the same has to be passed to `pass`.
   */
  admit(event: EventView): boolean {
    if (this.budget.isFull && this.budget.whenFull === "drop_oldest") this.dropOldest();
    return this.budget.admit(event.size);
  }

  /** This position is in the log, but not for this group. */
  pass(position: number): void {
    this.passed.add(position);
  }

  /** Opens a member. One of the same instance is ended first: what it had goes to the new one. */
  attach(instanceId: string, transport: MemberTransport, credit: Credit, replaced: FlowctlError): Member {
    const previous = this.members.get(instanceId);
    if (previous !== undefined) {
      previous.fail(replaced);
      this.detach(previous);
    }
    const member = new Member(instanceId, transport, {
      memory: this.environment.memory,
      acknowledged: this.acknowledged,
      returned: (slot) => this.slots?.returned(slot),
      refused: (position) => this.refused(position),
      ready: () => this.ready(),
    });
    this.members.set(instanceId, member);
    this.slots?.membersChanged();
    member.grant(credit);
    if (this.ending) this.finishWhenIdle();
    else this.pump();
    return member;
  }

  /** The member's stream has ended. Harmless when it was detached already. */
  detach(member: Member): void {
    if (this.members.get(member.instanceId) === member) {
      this.members.delete(member.instanceId);
      this.slots?.membersChanged();
    }
    const positions = member.detach();
    if (positions.length > 0) this.again = merge(this.again, positions);
    this.pump();
  }

  /** Sends what can be sent now. */
  pump(): void {
    if (this.pumping) return;
    this.pumping = true;
    try {
      this.blocked = !this.distribute();
    } finally {
      this.pumping = false;
    }
    for (const member of this.members.values()) member.flush();
  }

  /** Nothing will be published any more: members are told so once everything is acknowledged. */
  end(): void {
    this.ending = true;
    this.finishWhenIdle();
  }

  /** The topology now says something else of this group. What it was owed before, it still gets. */
  redefine(definitions: readonly Downstream[]): void {
    if (isDeepStrictEqual(definitions, this.definitions)) return;
    this.definitions = definitions;
    this.claimRest();
    this.edges = definitions.map(edgeOf);
    this.isOpen = this.edges.some(takesEverything);
    this.budget.redefine(bufferOf(definitions));
  }

  /** The group is gone from the topology: nothing has to reach it any more. */
  dissolve(reason: FlowctlError): void {
    for (const member of [...this.members.values()]) {
      member.fail(reason);
      this.again = merge(this.again, member.detach());
    }
    this.members.clear();
    for (const [position, cancel] of this.delayed) {
      cancel();
      this.again = merge(this.again, [position]);
    }
    this.delayed.clear();
    this.claimRest();
    for (const position of this.again) this.finish(position, 1);
    this.again = [];
    this.environment.progressed();
  }

  /** Returns false when something waits that no member can take. */
  private distribute(): boolean {
    const { log } = this.environment;
    while (this.again.length > 0 || this.cursor < log.next) {
      const moved = this.takesAll ? this.distributeRun() : this.distributeOne();
      if (!moved) return false;
    }
    return true;
  }

  /**
   * Whether each event from the cursor on is owed to the group, and any member may have it. Then none of them is settled: dead
   * letters are others' and may be, so that the cursor passes them one by one.
   */
  private get takesAll(): boolean {
    return (
      this.again.length === 0 &&
      this.slots === undefined &&
      this.passed.size === 0 &&
      this.isOpen &&
      this.cursor >= this.environment.log.afterDeadLetters
    );
  }

  /** Gives one member a share of what waits. */
  private distributeRun(): boolean {
    const { log } = this.environment;
    const waiting = log.next - this.cursor;
    const member = this.leastLoaded(log.sizeOf(this.cursor));
    if (member === undefined) return false;
    // A member of several gets little at a time, so that all have work.
    const share = this.members.size === 1 ? waiting : Math.min(MAX_SHARE, Math.ceil(waiting / this.members.size));
    this.cursor += member.addRun(log, this.cursor, share);
    return true;
  }

  private distributeOne(): boolean {
    const { log } = this.environment;
    const again = this.again[0];
    const position = again ?? this.cursor;
    const event = again === undefined ? this.owed(position) : log.get(position);
    if (event === undefined) {
      if (again !== undefined) throw new Error("an event that was acknowledged by nobody is gone");
      this.cursor++;
      return true;
    }
    const slot = this.slots === undefined ? NO_SLOT : this.slots.slotOf(this.key!(event));
    const member = this.choose(slot, event.size);
    if (member === undefined) return false;
    if (again !== undefined) this.again.shift();
    else this.cursor++;
    if (this.slots !== undefined) this.slots.sent(slot, member);
    member.add(event, position, slot);
    return true;
  }

  private choose(slot: number, size: number): Member | undefined {
    if (this.slots !== undefined) {
      const owner = this.slots.memberOf(slot, this.members);
      return owner?.canTake(size) ? owner : undefined;
    }
    return this.leastLoaded(size);
  }

  private leastLoaded(size: number): Member | undefined {
    let best: Member | undefined;
    for (const member of this.members.values()) {
      if (member.canTake(size) && (best === undefined || member.inFlight < best.inFlight)) best = member;
    }
    return best;
  }

  private readonly acknowledged = (first: number, count: number): void => {
    if (this.refusals.size > 0)
      for (let position = first; position < first + count; position++) this.refusals.delete(position);
    this.finish(first, count);
  };

  /** The group has nothing more to do with these events. */
  private finish(first: number, count: number): void {
    this.budget.release(count, this.environment.log.acknowledge(first, count));
  }

  /** The event at the cursor, if it has to reach this group. One that was dropped is forgotten: the cursor passes it now. */
  private owed(position: number): EventView | undefined {
    if (this.passed.size > 0 && this.passed.delete(position)) return undefined;
    const { log } = this.environment;
    const event = log.get(position);
    return event !== undefined && this.wants(event, log.isDeadLetter(position)) ? event : undefined;
  }

  /** Moves everything from the cursor on to what is sent again, so that the cursor is at the end. */
  private claimRest(): void {
    const { log } = this.environment;
    const owed: number[] = [];
    for (; this.cursor < log.next; this.cursor++) {
      if (this.owed(this.cursor) !== undefined) owed.push(this.cursor);
    }
    if (owed.length > 0) this.again = merge(this.again, owed);
  }

  /** Drops the oldest event that was not sent yet, if there is one. */
  private dropOldest(): void {
    const { log } = this.environment;
    while (this.cursor < log.next) {
      const position = this.cursor++;
      if (this.owed(position) === undefined) continue;
      this.budget.dropped++;
      this.finish(position, 1);
      return;
    }
  }

  private refused(position: number): void {
    const attempt = (this.refusals.get(position) ?? 0) + 1;
    this.refusals.set(position, attempt);
    const cancel = this.environment.schedule(backoffDelay(attempt, { initialMs: 50, maxMs: 5_000 }), () => {
      this.delayed.delete(position);
      this.again = merge(this.again, [position]);
      this.pump();
    });
    this.delayed.set(position, cancel);
  }

  private ready(): void {
    if (this.blocked) this.pump();
    if (this.ending) this.finishWhenIdle();
    this.environment.progressed();
  }

  private finishWhenIdle(): void {
    if (this.waiting > 0 && this.hasWork()) return;
    for (const member of this.members.values()) if (member.inFlight > 0) return;
    for (const member of this.members.values()) member.finish();
  }

  private hasWork(): boolean {
    this.pump();
    return this.waiting > 0;
  }
}

/** One way by which events reach a group. */
interface Edge {
  readonly types: ReadonlySet<string> | undefined;
  readonly deadLetters: boolean;
}

function edgeOf(definition: Downstream): Edge {
  const all = definition.types.length === 0 || definition.deadLetters;
  return { types: all ? undefined : new Set(definition.types), deadLetters: definition.deadLetters };
}

function takesEverything(edge: Edge): boolean {
  return edge.types === undefined && !edge.deadLetters;
}

/** The buffer in memory that an input asks for. One on disk is a member of its own, and no matter of the group. */
function bufferOf(definitions: readonly Downstream[]): BufferSpec | undefined {
  return definitions.find(({ buffer }) => buffer?.type === "memory")?.buffer;
}

/** Merges two ascending lists into one. */
function merge(a: readonly number[], b: readonly number[]): number[] {
  const all = [...a, ...b];
  return all.sort((x, y) => x - y);
}

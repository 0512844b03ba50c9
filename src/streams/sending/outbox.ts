import { backoffDelay } from "../../foundation/backoff.ts";
import type { EventView } from "../../protocol/event-view.ts";
import type { EventLog } from "./event-log.ts";
import type { Filter } from "./filter.ts";
import type { LogReader } from "./log-reader.ts";

/** What an outbox tells whoever it belongs to. */
export interface OutboxOwner {
  /** Runs `action` after `ms`; returns how to call it off. */
  schedule(ms: number, action: () => void): () => void;
  /** What was refused is due again. */
  due(): void;
  /** The group has nothing more to do with so many events of the outbox's log, of so many bytes together. */
  done(events: number, bytes: number): void;
}

/** Who has events of an outbox that are not acknowledged: one member of the group. */
export interface Holder {
  /** Positions in the outbox's log of what it has of it. */
  positionsOf(outbox: Outbox): Iterable<number>;
  /** Whether it has something of the outbox from before that position of its log. */
  hasBefore(outbox: Outbox, position: number): boolean;
  /** What it has of the outbox lies elsewhere now: old position → new position. */
  moved(outbox: Outbox, places: ReadonlyMap<number, number>): void;
}

/** Where everything that is in an outbox goes. */
export interface MoveTarget {
  readonly log: EventLog;
  readonly reader: LogReader;
  readonly owner: OutboxOwner;
  /** Appends an event to that log, and returns its position there. */
  append(event: EventView): number;
}

/** How long a refused event waits before it is sent again: doubled with each time, with some jitter. */
const PAUSE = { initialMs: 50, maxMs: 5_000 };

/**
 * What a group's members are given of one log: first what has to be sent again, then what the reader comes to. Each event is
 * with one member, waits to be sent again, pauses after it was refused, or is still to be read, until it is acknowledged.
 */
export class Outbox {
  private owner: OutboxOwner;
  private source: EventLog;
  private reader: LogReader;
  /** Positions to be sent again, ascending. */
  private redelivery: number[] = [];
  /** How often each was refused that is not acknowledged. */
  private readonly refusals = new Map<number, number>();
  private readonly paused = new Map<number, () => void>();
  /** How many are with members. */
  private held = 0;

  constructor(log: EventLog, reader: LogReader, owner: OutboxOwner) {
    this.source = log;
    this.reader = reader;
    this.owner = owner;
  }

  get log(): EventLog {
    return this.source;
  }

  /** Whether something could be sent now. */
  get hasNext(): boolean {
    return this.redelivery.length > 0 || this.reader.run > 0 || this.reader.peek() !== undefined;
  }

  /** Whether nothing of it is owed to the group any more. */
  get isEmpty(): boolean {
    return this.held === 0 && this.paused.size === 0 && !this.hasNext;
  }

  /** How many events from `runStart` on any member may be given at once; 0: look at `peek`. */
  get run(): number {
    return this.redelivery.length > 0 ? 0 : this.reader.run;
  }

  get runStart(): number {
    return this.reader.position;
  }

  /** The next position to send; undefined when there is none now. */
  peek(): number | undefined {
    return this.redelivery[0] ?? this.reader.peek();
  }

  /** A member was given what `run` counted, or `peek` found. */
  taken(count: number): void {
    this.held += count;
    if (this.redelivery.length > 0) this.redelivery.shift();
    else this.reader.advance(count);
  }

  /** A member has acknowledged these. */
  acknowledged(first: number, count: number): void {
    if (this.refusals.size > 0)
      for (let position = first; position < first + count; position++) this.refusals.delete(position);
    this.held -= count;
    this.finish(first, count);
  }

  /** A member is gone and had not acknowledged these. */
  returned(first: number, count: number): void {
    this.held -= count;
    const positions = Array.from({ length: count }, (_, i) => first + i);
    this.redelivery = merge(this.redelivery, positions);
  }

  /** A member cannot process this one now: it is sent again after a pause. */
  refused(position: number): void {
    this.held--;
    const attempt = (this.refusals.get(position) ?? 0) + 1;
    this.refusals.set(position, attempt);
    const cancel = this.owner.schedule(backoffDelay(attempt, PAUSE), () => {
      this.paused.delete(position);
      this.redelivery = merge(this.redelivery, [position]);
      this.owner.due();
    });
    this.paused.set(position, cancel);
  }

  /** Gives up the oldest event that was never sent, if there is one. Returns whether there was. */
  dropOldest(): boolean {
    const position = this.reader.peek();
    if (position === undefined) return false;
    this.reader.advance(1);
    this.finish(position, 1);
    return true;
  }

  /** Gives up everything that is with no member. */
  dissolve(): void {
    this.endPauses();
    const rest = this.redelivery;
    this.redelivery = [];
    this.refusals.clear();
    for (const position of rest) this.finish(position, 1);
    while (this.dropOldest());
  }

  /** Whether the group has not acknowledged everything that it was owed from before that position of the outbox's log. */
  owesBefore(position: number, holders: Iterable<Holder>): boolean {
    const isBefore = (at: number | undefined): boolean => at !== undefined && at < position;
    if (isBefore(this.redelivery[0]) || isBefore(this.reader.peek())) return true;
    for (const paused of this.paused.keys()) if (isBefore(paused)) return true;
    for (const holder of holders) if (holder.hasBefore(this, position)) return true;
    return false;
  }

  /** Positions that somebody else's group was owed: sent before anything else. */
  takeOver(positions: readonly number[]): void {
    this.redelivery = merge(this.redelivery, positions);
  }

  /** Forgets everything that is with no member, without acknowledging it, and returns where it is in the log, in order. */
  surrender(): readonly number[] {
    this.endPauses();
    const positions = this.redelivery;
    this.redelivery = [];
    this.refusals.clear();
    for (let position = this.reader.peek(); position !== undefined; position = this.reader.peek()) {
      positions.push(position);
      this.reader.advance(1);
    }
    return positions;
  }

  /** Another filter counts for what is published from now on. */
  follow(filter: Filter): void {
    this.reader.follow(filter);
  }

  /** What was never sent is somebody else's to send: its reader is given away for another one. */
  exchangeReader(reader: LogReader): LogReader {
    const before = this.reader;
    this.reader = reader;
    return before;
  }

  /**
   * Copies everything that is owed into another log, which is empty, in order. What members have stays with them; pauses end
   * early. Returns the positions that it had in the log before, where it has to be acknowledged.
   */
  moveTo(target: MoveTarget, members: Iterable<Holder>): Iterable<number> {
    this.endPauses();
    const from = this.source;
    const places = new Map<number, number>();
    const copy = (position: number): void => void places.set(position, target.append(from.get(position)!));
    const sent = [...this.redelivery];
    for (const member of members) sent.push(...member.positionsOf(this));
    for (const position of sent.sort((a, b) => a - b)) copy(position);
    target.reader.advance(places.size);
    for (let position = this.reader.peek(); position !== undefined; position = this.reader.peek()) {
      copy(position);
      this.reader.advance(1);
    }
    for (const member of members) member.moved(this, places);
    this.redelivery = this.redelivery.map((position) => places.get(position)!);
    const refusals = [...this.refusals];
    this.refusals.clear();
    for (const [position, attempts] of refusals) this.refusals.set(places.get(position)!, attempts);
    this.source = target.log;
    this.reader = target.reader;
    this.owner = target.owner;
    return places.keys();
  }

  private finish(first: number, count: number): void {
    this.owner.done(count, this.source.acknowledge(first, count));
  }

  private endPauses(): void {
    for (const cancel of this.paused.values()) cancel();
    this.redelivery = merge(this.redelivery, [...this.paused.keys()]);
    this.paused.clear();
  }
}

/** Merges two lists into an ascending one. */
function merge(a: readonly number[], b: readonly number[]): number[] {
  return [...a, ...b].sort((x, y) => x - y);
}

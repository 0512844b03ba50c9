import type { EventView } from "../../protocol/event-view.ts";
import type { BufferSpec } from "../../protocol/records.ts";
import type { Receipt } from "../receipt.ts";
import { EventLog, MAX_GAPS } from "./event-log.ts";
import { Filter } from "./filter.ts";
import { limitsOf } from "./group-budget.ts";
import type { LaneEnvironment, SharedLane } from "./lane.ts";
import { LogReader } from "./log-reader.ts";
import type { Member } from "./member.ts";
import { Outbox, type OutboxOwner } from "./outbox.ts";

/** Nobody waits for what is in a queue that drops. */
const NOBODY: Receipt = { settle: () => undefined, settleRun: () => undefined };

/**
 * A queue in memory that drops when it is full. What is in it counts as acknowledged by this group: it holds up neither the
 * component's log nor anybody's position, and is lost when the program ends.
 */
export class LossyLane {
  readonly kind = "lossy";
  readonly outbox: Outbox;
  readonly isFilling = false;
  dropped = 0;
  private buffer: BufferSpec;
  private readonly log: EventLog;
  private bytes = 0;

  private constructor(buffer: BufferSpec, memory: LaneEnvironment["memory"], makeOutbox: (lane: LossyLane) => Outbox) {
    this.buffer = buffer;
    this.log = new EventLog(memory);
    this.outbox = makeOutbox(this);
  }

  static make(buffer: BufferSpec, environment: LaneEnvironment): LossyLane {
    return new LossyLane(
      buffer,
      environment.memory,
      (lane) => new Outbox(lane.log, new LogReader(lane.log, Filter.ALL), lane.owner(environment)),
    );
  }

  /** Stands for a lane that blocks from now on: what that holds in the component's log is moved, and acknowledged there. */
  static insteadOf(
    before: SharedLane,
    buffer: BufferSpec,
    environment: LaneEnvironment,
    members: Iterable<Member>,
  ): LossyLane {
    let moved: Iterable<number> = [];
    const made = new LossyLane(buffer, environment.memory, (lane) => {
      const { log } = lane;
      const owner = lane.owner(environment);
      const append = (event: EventView): number => lane.append(event);
      moved = before.outbox.moveTo({ log, reader: new LogReader(log, Filter.ALL), owner, append }, members);
      return before.outbox;
    });
    for (const position of moved) environment.budget.release(1, environment.log.acknowledge(position, 1));
    return made;
  }

  get isEmpty(): boolean {
    return this.log.unsettled === 0;
  }

  /** Events of it that are not in the component's log. */
  get stored(): number {
    return this.log.unsettled;
  }

  /** See `SharedLane.marker`. */
  marker(): () => boolean {
    const upTo = this.log.next;
    return () => this.log.base >= upTo;
  }

  redefine(buffer: BufferSpec): void {
    this.buffer = buffer;
  }

  /** Takes an event, or drops it, or as many of the oldest as have to go when there is no room. */
  offer(event: EventView): void {
    while (this.isFull && this.buffer.whenFull === "drop_oldest" && this.outbox.dropOldest()) this.dropped++;
    // What was dropped behind an event that an instance is stuck on still takes a place in the log.
    if (this.isFull || this.log.gaps >= MAX_GAPS) this.dropped++;
    else this.append(event);
  }

  private get isFull(): boolean {
    const { maxEvents, maxBytes } = limitsOf(this.buffer);
    return this.log.unsettled >= maxEvents || this.bytes >= maxBytes;
  }

  private append(event: EventView): number {
    this.bytes += event.size;
    return this.log.append(event, NOBODY, 0, 1, false);
  }

  private owner({ schedule, changed }: LaneEnvironment): OutboxOwner {
    return {
      schedule,
      due: changed,
      done: (_events, bytes) => {
        this.bytes -= bytes;
      },
    };
  }
}

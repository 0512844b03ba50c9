import type { MemoryPool } from "../../protocol/slab-pool.ts";
import type { EventLog } from "./event-log.ts";
import type { Filter } from "./filter.ts";
import type { GroupBudget } from "./group-budget.ts";
import type { LogReader } from "./log-reader.ts";
import { type Holder, Outbox } from "./outbox.ts";

export interface LaneEnvironment {
  /** The component's log. */
  readonly log: EventLog;
  readonly memory: MemoryPool | undefined;
  /** What the group owes in the component's log. */
  readonly budget: GroupBudget;
  /** Runs `action` after `ms`; returns how to call it off. */
  schedule(ms: number, action: () => void): () => void;
  /** Something can be sent, or is done, that was not before. */
  changed(): void;
}

/**
 * A queue in the component's own log: an event is settled there when the group has acknowledged it. For an input without a
 * buffer, and for one in memory that blocks.
 */
export class SharedLane {
  readonly kind = "shared";
  readonly outbox: Outbox;
  readonly dropped = 0;
  /** Events of it that are not in the component's log. */
  readonly stored = 0;
  /** Whether something older than what newer lanes have is still to come into the outbox. */
  readonly isFilling = false;

  constructor(reader: LogReader, environment: LaneEnvironment) {
    const { log, budget } = environment;
    this.outbox = new Outbox(log, reader, {
      schedule: environment.schedule,
      due: environment.changed,
      done: (events, bytes) => budget.release(events, bytes),
    });
  }

  get isEmpty(): boolean {
    return this.outbox.isEmpty;
  }

  follow(filter: Filter): void {
    this.outbox.follow(filter);
  }

  /** Tells, whenever it is asked, whether the group has acknowledged everything that it is owed now. */
  marker(members: () => Iterable<Holder>): () => boolean {
    const upTo = this.outbox.log.next;
    return () => !this.outbox.owesBefore(upTo, members());
  }
}

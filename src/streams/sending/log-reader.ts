import type { EventLog } from "./event-log.ts";
import type { Filter } from "./filter.ts";

/** A stretch of the log, and which of its events are owed; undefined: none. The last one has no end. */
interface Span {
  readonly filter: Filter | undefined;
  end: number;
}

/**
 * How far a group has come in a log: a cursor over what it is owed. What it is owed is decided when an event is published: a
 * changed filter counts from there on, and what was published before is still judged by the one before.
 */
export class LogReader {
  private readonly log: EventLog;
  private readonly spans: Span[];
  private cursor: number;

  /** Begins with what is published from now on. */
  constructor(log: EventLog, filter: Filter) {
    this.log = log;
    this.cursor = log.next;
    this.spans = [spanOf(filter)];
  }

  /** Another filter counts for what is published from now on. */
  follow(filter: Filter): void {
    this.spans.at(-1)!.end = this.log.next;
    this.spans.push(spanOf(filter));
    if (this.peek() === undefined) this.cursor = this.log.next;
  }

  /** The next position that is owed; undefined when there is none now. */
  peek(): number | undefined {
    const { log, spans } = this;
    for (;;) {
      const { filter, end } = spans[0]!;
      const stop = Math.min(end, log.next);
      if (filter === undefined) this.cursor = Math.max(this.cursor, stop);
      for (; this.cursor < stop; this.cursor++) {
        const event = log.get(this.cursor);
        if (event !== undefined && filter!.wants(event, log.isDeadLetter(this.cursor))) return this.cursor;
      }
      if (spans.length === 1) return undefined;
      spans.shift();
    }
  }

  /**
   * How many events from the cursor on are certainly owed, one after the other; 0 says nothing. None of them is settled: dead
   * letters are others' and may be, so that `peek` passes them one by one.
   */
  get run(): number {
    const { filter, end } = this.spans[0]!;
    if (filter === undefined || !filter.takesAll || this.cursor < this.log.afterDeadLetters) return 0;
    return Math.min(end, this.log.next) - this.cursor;
  }

  /** Where `run` begins, or what `peek` has found. */
  get position(): number {
    return this.cursor;
  }

  /** What `run` counted or `peek` found is in somebody's hands. */
  advance(count: number): void {
    this.cursor += count;
  }
}

function spanOf(filter: Filter): Span {
  return { filter: filter.takesNothing ? undefined : filter, end: Number.POSITIVE_INFINITY };
}

import type { EventView } from "../../protocol/event-view.ts";
import type { EventLog } from "./event-log.ts";
import type { Filter } from "./filter.ts";

/** What of a component's log was for a group when it was published, also where it has acknowledged it by now. */
export class Given {
  private readonly log: EventLog;
  /** Of earlier filters, in order: which counted from where to before where. */
  private past: { readonly filter: Filter; readonly from: number; readonly to: number }[] = [];
  private filter: Filter;
  private from: number;

  constructor(log: EventLog, filter: Filter) {
    this.log = log;
    this.filter = filter;
    this.from = log.next;
  }

  /** Another filter counts for what is published from now on. */
  follow(filter: Filter): void {
    const { log, from } = this;
    this.past = this.past.filter(({ to }) => to > log.base);
    if (log.next > from && !this.filter.takesNothing) this.past.push({ filter: this.filter, from, to: log.next });
    this.filter = filter;
    this.from = log.next;
  }

  /** Of an event that is in the log at this position. */
  has(position: number, event: EventView<undefined>): boolean {
    const earlier = this.past.find(({ from, to }) => from <= position && position < to);
    const filter = position >= this.from ? this.filter : earlier?.filter;
    return filter?.wants(event, this.log.isDeadLetter(position)) === true;
  }
}

import { type Arrival, lastOf } from "./ack-tracker.ts";
import type { ReceivedEvent } from "./received-event.ts";
import type { UpstreamStream } from "./upstream-stream.ts";

/**
 * What was being worked on when a stream broke, by its id. The upstream will send it again: it is recognised then, is not worked
 * on twice, and the new one is done when the old one is.
 */
export class UnfinishedEvents {
  private readonly byId = new Map<string, ReceivedEvent>();
  private readonly window: number;
  /** When so many events have come on this stream, what is done by then does not come again. */
  private forgetAt: number;

  /** @param window How many events a stream may bring that are not done. */
  constructor(window: number) {
    this.window = window;
    this.forgetAt = window;
  }

  get isEmpty(): boolean {
    return this.byId.size === 0;
  }

  /** A stream begins. */
  restart(): void {
    this.forgetAt = this.window;
  }

  /** The stream that brought these has broken. Damaged events have no id, and are never taken for another. */
  keep(events: Iterable<ReceivedEvent>): void {
    for (const event of events) {
      const id = idOf(event);
      if (id !== "") this.byId.set(id, event);
    }
  }

  /** What is done and was not sent again until now will not be: the upstream knows that it is done, or gave it to others. */
  forgetDone(): void {
    for (const [id, { origin, sequence }] of this.byId) if (origin.isDone(sequence)) this.byId.delete(id);
  }

  forgetAll(): void {
    this.byId.clear();
  }

  /** What of an arrival has not come before, each part with its size in bytes. The rest is taken, and linked to what is worked on. */
  *freshOf(stream: UpstreamStream, arrival: Arrival): Iterable<[Arrival, number]> {
    const { message } = arrival;
    let { first } = arrival;
    let bytes = 0;
    for (const event of stream.views(arrival)) {
      const known = this.byId.get(idOf(event));
      if (known === undefined) {
        bytes += event.size;
        continue;
      }
      this.byId.delete(known.id);
      stream.took(1, event.size);
      known.origin.linkRedelivery(known.sequence, event);
      if (event.sequence > first) yield [{ message, first, count: event.sequence - first }, bytes];
      first = event.sequence + 1;
      bytes = 0;
    }
    if (first <= lastOf(arrival)) yield [{ message, first, count: lastOf(arrival) - first + 1 }, bytes];
    this.forgetAfter(arrival);
  }

  /** What an upstream was owed an acknowledgement of it sends before anything newer. What has not come by then went to others. */
  private forgetAfter(arrival: Arrival): void {
    if (lastOf(arrival) < this.forgetAt) return;
    this.forgetAt += this.window;
    this.forgetDone();
  }
}

/** The id, or nothing for a damaged event. */
function idOf(event: ReceivedEvent): string {
  try {
    return event.id;
  } catch {
    return "";
  }
}

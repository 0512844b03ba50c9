import { EventView } from "../protocol/event-view.ts";
import type { Receipt } from "./event-log.ts";

/** The stream that an event came by. */
export interface Origin {
  /** One of its events is done. */
  completed(): void;
}

/**
 * An event that came over a stream, and the receipt of everything that is made from it: `hold` for each output, `settle`
 * when the output is acknowledged by everything below and once when processing itself is over. When all are settled the
 * event is done, and its stream is told.
 */
export class ReceivedEvent extends EventView implements Receipt {
  /** Component id of the upstream that sent it. */
  readonly upstream: string;
  private origin: Origin;
  private open = 1;

  constructor(buffer: Buffer, start: number, body: number, end: number, origin: Origin, upstream: string) {
    super(buffer, start, body, end);
    this.origin = origin;
    this.upstream = upstream;
  }

  get done(): boolean {
    return this.open === 0;
  }

  hold(): void {
    this.open++;
  }

  settle(): void {
    if (--this.open === 0) this.origin.completed();
  }

  /**
   * The same event arrived again, as `again`, on a newer stream, while this one is still being worked on: the newer one is
   * done when this one is.
   */
  standInFor(again: ReceivedEvent): void {
    if (this.open === 0) again.settle();
    else this.origin = { completed: () => again.settle() };
  }
}

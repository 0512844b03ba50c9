import { EventView } from "../protocol/event-view.ts";
import type { TextMemo } from "../protocol/text-memo.ts";
import type { Receipt } from "./event-log.ts";

/** The stream that an event came by. */
export interface Origin {
  /** Component id of the upstream that it connects to. */
  readonly upstream: string;
  /** Decodes what the events of one stream have in common. */
  readonly texts: TextMemo;
  /** One of its events is done. */
  completed(): void;
}

/**
 * An event that came over a stream, and the receipt of everything that is made from it: `hold` for each output, `settle`
 * when the output is acknowledged by everything below and once when processing itself is over. When all are settled the
 * event is done, and its stream is told.
 */
export class ReceivedEvent extends EventView implements Receipt {
  private origin: Origin;
  private open = 1;

  constructor(buffer: Buffer, start: number, body: number, end: number, origin: Origin) {
    super(buffer, start, body, end);
    this.origin = origin;
  }

  /** Component id of the upstream that sent it. */
  get upstream(): string {
    return this.origin.upstream;
  }

  get done(): boolean {
    return this.open === 0;
  }

  protected override shared(start: number, end: number): string {
    return this.origin.texts.read(this.buffer, start, end);
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
    else this.origin = { upstream: this.origin.upstream, texts: this.origin.texts, completed: () => again.settle() };
  }
}

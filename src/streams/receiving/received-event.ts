import type { EventOrigin, EventView } from "../../protocol/event-view.ts";
import type { Receipt } from "../receipt.ts";

/**
 * The stream that an event came by, and the receipt of everything that is made from it: `hold` for each output, `settle`
 * when the output is acknowledged by everything below and once when processing itself is over. When all are settled the
 * event is done. Events are told apart by their sequence number, so that nobody has to keep the event itself.
 */
export interface Origin extends EventOrigin, Receipt {
  /** There is one thing more to wait for. */
  hold(sequence: number): void;
  /** One of the things to wait for is over. */
  settle(sequence: number): void;
  /** The same for `count` events in a row. */
  settleRun(first: number, count: number): void;
  /** Whether there is nothing more to wait for. */
  isDone(sequence: number): boolean;
  /**
   * The same event arrived again, as `redelivery`, on a newer stream, while this one was still being worked on: the newer one is
   * done when this one is.
   */
  linkRedelivery(sequence: number, redelivery: ReceivedEvent): void;
}

/** An event that came over a stream. */
export type ReceivedEvent = EventView<Origin>;

/** There is one thing more to wait for before the event is done. */
export function hold(event: ReceivedEvent): void {
  event.origin.hold(event.sequence);
}

/** Where what is made of an event goes. */
interface Publishing {
  publish(view: EventView, receipt: Receipt, tag: number, deadLetter: boolean): void;
}

/**
 * Publishes something that was made of `input`, which is not done before that is acknowledged. Throws what `publish` throws;
 * then there is nothing to wait for.
 */
export function publishFrom(input: ReceivedEvent, view: EventView, to: Publishing, deadLetter = false): void {
  hold(input);
  try {
    to.publish(view, input.origin, input.sequence, deadLetter);
  } catch (error) {
    settle(input);
    throw error;
  }
}

/** One of the things to wait for is over. */
export function settle(event: ReceivedEvent): void {
  event.origin.settle(event.sequence);
}

/** The same for each of them, which came by one stream, one after the other. */
export function settleRun(events: readonly ReceivedEvent[]): void {
  const [first] = events;
  if (first !== undefined) first.origin.settleRun(first.sequence, events.length);
}

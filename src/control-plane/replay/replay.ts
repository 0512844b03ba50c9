import { EVENT_IN_BATCH_TAG, EventView } from "../../protocol/event-view.ts";
import { varintSize, writeVarint } from "../../protocol/wire.ts";
import type { Receipt } from "../../streams/receipt.ts";
import { Publisher } from "../../streams/sending/publisher.ts";
import { ChangeNotifier } from "../change-notifier.ts";

/**
 * Events on their way to one component, which has the control plane as one more upstream meanwhile. Memory is bounded by the
 * publisher: no more is read of the client than it has room for.
 */
export class Replay {
  /** Id of the upstream, and of its one instance. */
  readonly id: string;
  readonly instanceId: string;
  /** The component that gets the events. */
  readonly target: string;
  readonly publisher = new Publisher();
  /** Tells that more is acknowledged, that all is, or that it cannot go on. */
  readonly changes = new ChangeNotifier();
  readonly #receipt: Receipt = { settle: (number) => this.#settle(number) };
  #acknowledged: number[] = [];
  #sent = 0;
  #settled = 0;
  #isComplete = false;

  /** @param partitionBy How the events are shared by the instances of the component, as those of its inputs are. */
  constructor(id: string, target: string, partitionBy: string) {
    this.id = id;
    this.instanceId = `${id}-1`;
    this.target = target;
    this.publisher.setGroups([
      { componentId: target, types: [], partitionBy, desiredInstances: 1, deadLetters: false },
    ]);
  }

  /** How many events the component has acknowledged. */
  get settled(): number {
    return this.#settled;
  }

  /** Whether everything was sent and is acknowledged. */
  get isOver(): boolean {
    return this.#isComplete && this.#settled === this.#sent;
  }

  /**
   * Sends them, each an encoded Event, no faster than they are taken; then the component is told the end. Rejects with
   * `protocol/malformed` for what is no Event.
   */
  async send(events: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
    const stop = (): void => this.publisher.disableBackpressure();
    signal.addEventListener("abort", stop, { once: true });
    for await (const event of events) {
      const room = this.publisher.room();
      if (room !== undefined) await room;
      if (signal.aborted) return;
      this.publisher.publish(viewOf(event), this.#receipt, this.#sent++);
    }
    this.#isComplete = true;
    this.publisher.end();
    this.changes.notify();
  }

  /** The numbers of the events that were acknowledged since it was called last. */
  takeAcknowledged(): readonly number[] {
    const acknowledged = this.#acknowledged;
    this.#acknowledged = [];
    return acknowledged;
  }

  #settle(number: number): void {
    this.#acknowledged.push(number);
    this.#settled++;
    this.changes.notify();
  }
}

/** An encoded Event as it lies in a batch. Copies it. Throws `protocol/malformed` for other bytes, which nobody could process. */
function viewOf(event: Uint8Array): EventView<undefined> {
  const body = 1 + varintSize(event.length);
  const buffer = Buffer.alloc(body + event.length);
  buffer[0] = EVENT_IN_BATCH_TAG;
  writeVarint(buffer, 1, event.length);
  buffer.set(event, body);
  const view = new EventView(buffer, 0, body, buffer.length, undefined, 0);
  // Asking for any of its fields looks at all of them.
  void view.id;
  return view;
}

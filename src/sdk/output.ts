import { FlowctlError } from "../foundation/errors.ts";
import { EventEncoder } from "../protocol/event-encoder.ts";
import { EventView } from "../protocol/event-view.ts";
import type { SlabPool } from "../protocol/slab-pool.ts";
import type { ReceivedEvent } from "../streams/receiving/received-event.ts";
import type { Event, EventInit } from "./event.ts";
import { idText, type KeptPosition } from "./position.ts";

/** The largest event that flowctl carries, encoded, in bytes. */
export const MAX_EVENT_BYTES = 16 * 1024 * 1024;

/** Of what an error says, so many characters go with a dead letter: some errors quote the whole event. */
const MAX_REASON = 16_384;

const JSON_TYPE = "application/json";

/** Turns what authors emit into encoded events. */
export class OutputEncoder {
  private readonly encoder: EventEncoder;
  private readonly componentId: string;
  private readonly idSuffix: string;

  /**
   * @param memory for what is encoded: whatever comes of this encoder has to be published, or otherwise retained there, before
   * the next event is made.
   */
  constructor(componentId: string, memory: SlabPool) {
    this.encoder = new EventEncoder(memory);
    this.componentId = componentId;
    this.idSuffix = `/${componentId}`;
  }

  /**
   * An event of a source. Its time, unless given, is now; its id, unless given, is the prefix and the position, with one
   * that is not text or number as JSON.
   */
  original(init: EventInit, position: KeptPosition, idPrefix: string): EventView {
    const isCount = init.id === undefined && typeof position === "number" && isCountable(position);
    const view = this.encoder.encode({
      id: init.id ?? (isCount ? idPrefix : `${idPrefix}${idText(position)}`),
      idNumber: isCount ? position : undefined,
      type: init.type ?? "",
      payload: payloadOf(init),
      metadata: init.metadata,
      timestamp: init.timestamp === undefined ? Date.now() : init.timestamp?.getTime(),
      sourceComponentId: init.sourceComponentId ?? this.componentId,
      contentType: init.contentType ?? (init.json === undefined ? "" : JSON_TYPE),
    });
    return checkSize(view);
  }

  /** Output number `ordinal` (from 0) that a processor made from `input`. */
  derived(init: EventInit, input: ReceivedEvent, ordinal: number): EventView {
    const hasPayload = init.json !== undefined || init.payload !== undefined;
    const view = this.encoder.derive(input, {
      id: init.id,
      idSuffix: ordinal === 0 ? this.idSuffix : `${this.idSuffix}.${ordinal}`,
      type: init.type,
      payload: hasPayload ? payloadOf(init) : undefined,
      metadata: init.metadata,
      timestamp: init.timestamp?.getTime(),
      sourceComponentId: this.componentId,
      contentType: init.contentType ?? (init.json === undefined ? undefined : JSON_TYPE),
    });
    return checkSize(view);
  }

  /** The event as a dead letter: byte for byte as it came, with further metadata behind. A very long reason is cut. */
  deadLetter(event: ReceivedEvent, reason: string, attempts: number, now: Date): EventView {
    return this.encoder.withMetadata(event, {
      "flowctl.dead_letter.reason": reason.length > MAX_REASON ? `${reason.slice(0, MAX_REASON)}…` : reason,
      "flowctl.dead_letter.component": this.componentId,
      "flowctl.dead_letter.upstream": event.upstream,
      "flowctl.dead_letter.attempts": String(attempts),
      "flowctl.dead_letter.time": now.toISOString(),
    });
  }
}

/** Whether an author's output is a received event that can be forwarded as it is. */
export function isForwarded(event: Event | EventInit): event is Event & EventView {
  return event instanceof EventView;
}

function isCountable(position: number): boolean {
  return Number.isSafeInteger(position) && position >= 0;
}

function payloadOf(init: EventInit): Uint8Array | string {
  if (init.json !== undefined) return JSON.stringify(init.json) ?? "null";
  return init.payload ?? "";
}

function checkSize(view: EventView): EventView {
  if (view.size <= MAX_EVENT_BYTES) return view;
  throw new FlowctlError({
    code: "sdk/event-too-large",
    kind: "invalid",
    message: `event ${JSON.stringify(view.id)} has ${view.size} bytes; the maximum is ${MAX_EVENT_BYTES}`,
    fix: "split the event, or send a reference to the content",
  });
}

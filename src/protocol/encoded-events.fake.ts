import { EVENT_IN_BATCH_TAG, EventView } from "./event-view.ts";
import { OutgoingBatch } from "./stream-codec.ts";
import { varintSize, writeVarint } from "./wire.ts";

/** A view of one encoded `flowctl.event.v1.Event`, such as another library makes. Copies the bytes. */
export function viewOfEvent(bytes: Uint8Array): EventView<undefined> {
  const body = 1 + varintSize(bytes.length);
  const buffer = Buffer.alloc(body + bytes.length);
  buffer[0] = EVENT_IN_BATCH_TAG;
  writeVarint(buffer, 1, bytes.length);
  buffer.set(bytes, body);
  return new EventView(buffer, 0, body, buffer.length, undefined, 0);
}

/** The events as one message. */
export function encodeBatch(firstSequence: number, events: readonly EventView[]): Buffer {
  const batch = new OutgoingBatch(firstSequence);
  for (const { buffer, start, end } of events) batch.add(buffer, start, end);
  return batch.toBuffer();
}

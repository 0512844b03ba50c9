import { EventEncoder } from "../../../../src/protocol/event-encoder.ts";
import { EventView } from "../../../../src/protocol/event-view.ts";
import { decodeResponse, encodeBatch } from "../../../../src/protocol/stream-codec.ts";
import { EVENT_TYPE, METADATA, Meter, makePayload, readSettings, reportUse } from "./settings.ts";

/** The way out of a program: what the one below takes. */
export interface Outgoing {
  /** False when the transport wants a pause, until `drained`. */
  send(message: Buffer): boolean;
  drained(): Promise<unknown>;
}

/** What carries whole messages, in order, from one program to the next, and does nothing else. */
export interface Transport {
  /** Waits until somebody has connected. */
  serve(): Promise<Outgoing>;
  /** Receives until the other side ends; takes the next message when the promise, where there is one, has resolved. */
  receive(onMessage: (message: Buffer) => Promise<void> | undefined): Promise<void>;
}

const BATCH = 256;

/**
 * The three programs in the encoding of flowctl, and none of its guarantees: no acknowledgements, no credit, no log of
 * what is unacknowledged, no checkpoints, no metrics. What is left is the codec and the transport.
 */
export async function runBare(transport: Transport): Promise<void> {
  const { role } = readSettings();
  process.on("SIGTERM", () => process.exit(0));
  reportUse();
  if (role === "source") await source(transport);
  else if (role === "sink") await sink(transport);
  else await filter(transport);
}

class Batches {
  private readonly out: Outgoing;
  private pending: EventView[] = [];
  private bytes = 0;
  private sequence = 1;

  constructor(out: Outgoing) {
    this.out = out;
  }

  /** False when the transport wants a pause. */
  add(event: EventView): boolean {
    this.pending.push(event);
    this.bytes += event.end - event.start;
    return this.pending.length < BATCH || this.flush();
  }

  flush(): boolean {
    const { length } = this.pending;
    if (length === 0) return true;
    const message = encodeBatch(this.sequence, this.pending, length, this.bytes);
    this.sequence += length;
    this.pending = [];
    this.bytes = 0;
    return this.out.send(message);
  }
}

async function source(transport: Transport): Promise<void> {
  const { count, size, awaited } = readSettings();
  const out = await transport.serve();
  const batches = new Batches(out);
  const encoder = new EventEncoder();
  const payload = makePayload(size);
  const emit = async (event: EventView): Promise<void> => {
    if (!batches.add(event)) await out.drained();
  };
  for (let n = 1; n <= count; n++) {
    const event = encoder.encode({
      id: `source-1:${n}`,
      type: EVENT_TYPE,
      payload,
      metadata: METADATA,
      timestamp: Date.now(),
      sourceComponentId: "source",
      contentType: "application/json",
    });
    if (awaited) await emit(event);
    else if (!batches.add(event)) await out.drained();
  }
  batches.flush();
}

async function filter(transport: Transport): Promise<void> {
  const out = await transport.serve();
  const batches = new Batches(out);
  await transport.receive((message) => {
    let more = true;
    for (const event of eventsOf(message)) if (event.type === EVENT_TYPE) more = batches.add(event) && more;
    more = batches.flush() && more;
    return more ? undefined : out.drained().then(() => undefined);
  });
}

async function sink(transport: Transport): Promise<void> {
  const meter = new Meter(readSettings().count);
  await transport.receive((message) => {
    meter.add(eventsOf(message).length);
    return undefined;
  });
}

function eventsOf(message: Buffer): readonly EventView[] {
  const response = decodeResponse(message, (buffer, start, body, end) => new EventView(buffer, start, body, end));
  return response.kind === "batch" ? response.events : [];
}

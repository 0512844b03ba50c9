import { EventEncoder } from "../../../../src/protocol/event-encoder.ts";
import type { EventView } from "../../../../src/protocol/event-view.ts";
import { eventsOf, OutgoingBatch } from "../../../../src/protocol/stream-codec.ts";
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

/** What measured best for the baselines: with the 2,048 events and 1 MiB of flowctl they are up to a quarter slower. */
const BATCH_EVENTS = 1024;
const BATCH_BYTES = 256 * 1024;
const READY = Promise.resolve();

/**
 * The three programs in the encoding of flowctl, and none of its guarantees: no acknowledgements, no credit, no log of
 * what is unacknowledged, no checkpoints, no metrics. What is left is the codec and the transport, and, where `awaited` says
 * so, the calls for each event that the author of a component finds in the SDK: what is compared then is the guarantees.
 */
export async function runBare(transport: Transport): Promise<void> {
  const { role, awaited } = readSettings();
  process.on("SIGTERM", () => process.exit(0));
  reportUse();
  if (role === "source") await source(transport);
  else if (role === "sink") await sink(transport);
  else if (awaited) await filterByCalls(transport);
  else await filter(transport);
}

class Batches {
  private readonly out: Outgoing;
  private pending = new OutgoingBatch(1);
  private pause: Promise<void> | undefined;

  constructor(out: Outgoing) {
    this.out = out;
  }

  /** False when the transport wants a pause. */
  add(event: EventView): boolean {
    this.pending.add(event.buffer, event.start, event.end);
    return (this.pending.count < BATCH_EVENTS && this.pending.size < BATCH_BYTES) || this.flush();
  }

  flush(): boolean {
    const { pending } = this;
    if (pending.count === 0) return true;
    this.pending = new OutgoingBatch(pending.firstSequence + pending.count);
    return this.out.send(pending.toBuffer());
  }

  /** Resolves when more may be added, as what an author awaits. */
  emit(event: EventView): Promise<void> {
    if (this.add(event)) return this.pause ?? READY;
    this.pause ??= this.out.drained().then(() => {
      this.pause = undefined;
    });
    return this.pause;
  }
}

async function source(transport: Transport): Promise<void> {
  const { count, size, awaited } = readSettings();
  const out = await transport.serve();
  const batches = new Batches(out);
  const encoder = new EventEncoder();
  const payload = makePayload(size);
  const encode = (n: number): EventView =>
    encoder.encode({
      id: "source-1:",
      idNumber: n,
      type: EVENT_TYPE,
      payload,
      metadata: METADATA,
      timestamp: Date.now(),
      sourceComponentId: "source",
      contentType: "application/json",
    });
  for (let n = 1; n <= count; n++) {
    if (awaited) await batches.emit(encode(n));
    else if (!batches.add(encode(n))) await out.drained();
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

/** A handler that is called for each event, and whose promise is awaited where it is not there already. */
async function filterByCalls(transport: Transport): Promise<void> {
  const batches = new Batches(await transport.serve());
  const emit = (event: EventView): Promise<void> => batches.emit(event);
  const process = (event: EventView, send: typeof emit): Promise<void> | undefined =>
    event.type === EVENT_TYPE ? send(event) : undefined;
  await transport.receive(async (message) => {
    for (const event of eventsOf(message)) {
      const pending = process(event, emit);
      if (pending !== undefined && pending !== READY) await pending;
    }
    batches.flush();
  });
}

async function sink(transport: Transport): Promise<void> {
  const meter = new Meter(readSettings().count);
  await transport.receive((message) => {
    meter.add(eventsOf(message).length);
    return undefined;
  });
}

import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { EventEncoder } from "../../../../src/protocol/event-encoder.ts";
import { EventView } from "../../../../src/protocol/event-view.ts";
import { decodeResponse, encodeBatch } from "../../../../src/protocol/stream-codec.ts";
import { METADATA, Meter, makePayload, readSettings, reportUse } from "./settings.ts";

/** The ceiling: the same events in the same encoding over plain TCP with a length before each batch, and no guarantees. */
const { role, count, size, port, upstream } = readSettings();
const BATCH = 256;
reportUse();

async function serve(): Promise<Socket> {
  const server = createServer({ noDelay: true });
  server.listen(port, "127.0.0.1");
  const [socket] = (await once(server, "connection")) as [Socket];
  socket.on("error", () => process.exit(0));
  return socket;
}

function frame(events: readonly EventView[], sequence: number): [Buffer, Buffer] {
  let bytes = 0;
  for (const event of events) bytes += event.end - event.start;
  const message = encodeBatch(sequence, events, events.length, bytes);
  const header = Buffer.allocUnsafe(4);
  header.writeUInt32BE(message.length, 0);
  return [header, message];
}

function sender(socket: Socket): { send(event: EventView): boolean; flush(): boolean } {
  let pending: EventView[] = [];
  let sequence = 1;
  const flush = (): boolean => {
    if (pending.length === 0) return true;
    const [header, message] = frame(pending, sequence);
    sequence += pending.length;
    pending = [];
    socket.cork();
    socket.write(header);
    const more = socket.write(message);
    socket.uncork();
    return more;
  };
  return {
    send: (event) => {
      pending.push(event);
      return pending.length < BATCH || flush();
    },
    flush,
  };
}

async function receive(onEvents: (events: readonly EventView[]) => Promise<void> | void): Promise<void> {
  let socket: Socket | undefined;
  while (socket === undefined) {
    const attempt = connect({ port: upstream, host: "127.0.0.1", noDelay: true });
    socket = await new Promise<Socket | undefined>((resolve) => {
      attempt.once("connect", () => resolve(attempt));
      attempt.once("error", () => setTimeout(() => resolve(undefined), 20));
    });
  }
  socket.on("error", () => process.exit(0));
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    let data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (data.length >= 4 && data.length >= 4 + data.readUInt32BE(0)) {
      const end = 4 + data.readUInt32BE(0);
      const response = decodeResponse(data.subarray(4, end), (b, s, body, e) => new EventView(b, s, body, e));
      if (response.kind === "batch") await onEvents(response.events);
      data = data.subarray(end);
    }
    rest = data;
  }
}

if (role === "source") {
  const socket = await serve();
  const out = sender(socket);
  const encoder = new EventEncoder();
  const payload = makePayload(size);
  for (let n = 1; n <= count; n++) {
    const event = encoder.encode({
      id: `source-1:${n}`,
      type: "bench.v1",
      payload,
      metadata: METADATA,
      timestamp: Date.now(),
      sourceComponentId: "source",
      contentType: "application/json",
    });
    if (!out.send(event)) await once(socket, "drain");
  }
  out.flush();
} else if (role === "sink") {
  const meter = new Meter(count);
  await receive((events) => meter.add(events.length));
} else {
  const socket = await serve();
  const out = sender(socket);
  await receive(async (events) => {
    let more = true;
    for (const event of events) if (event.type === "bench.v1") more = out.send(event) && more;
    more = out.flush() && more;
    if (!more) await once(socket, "drain");
  });
}

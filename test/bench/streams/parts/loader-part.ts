import { once } from "node:events";
import { credentials, loadPackageDefinition, Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { METADATA, Meter, makePayload, readSettings, reportUse } from "./settings.ts";

/**
 * The baseline: what people write by hand. The same three programs over grpc-js and proto-loader with its objects, one
 * event a message or so many, the receiver dialling, `write()` honoured, acknowledged once per 256 events.
 */
const { role, count, size, port, upstream, batch } = readSettings();
reportUse();

interface Message {
  readonly batch: { readonly firstSequence: number; readonly events: readonly EventMessage[] };
}
interface EventMessage {
  readonly id: string;
  readonly type: string;
  readonly payload: Buffer;
}

const definition = loadSync("flowctl/stream/v1/stream.proto", {
  includeDirs: [process.env.BENCH_PROTO!],
  longs: Number,
  enums: String,
  defaults: true,
  oneofs: true,
});
const packages = loadPackageDefinition(definition) as never as {
  flowctl: { stream: { v1: { EventStream: { new (address: string, creds: object): Client; service: never } } } };
};
interface Client {
  waitForReady(deadline: number, done: (error?: Error) => void): void;
  subscribe(): NodeJS.ReadWriteStream & { write(message: unknown): boolean };
}
const { EventStream } = packages.flowctl.stream.v1;

type Call = ServerDuplexStream<unknown, unknown>;

async function serve(): Promise<Call> {
  const server = new Server();
  const connected = new Promise<Call>((resolve) => {
    server.addService(EventStream.service, {
      subscribe: (call: Call) => {
        call.on("data", () => undefined);
        call.on("end", () => call.end());
        resolve(call);
      },
    });
  });
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    ),
  );
  return await connected;
}

async function subscribe(): Promise<ReturnType<Client["subscribe"]>> {
  const client = new EventStream(`127.0.0.1:${upstream}`, credentials.createInsecure());
  await new Promise<void>((resolve, reject) =>
    client.waitForReady(Date.now() + 60_000, (error) => (error ? reject(error) : resolve())),
  );
  const stream = client.subscribe();
  stream.write({ open: { pipeline: "p", group: role, instanceId: role } });
  return stream;
}

/** Sends in batches; false when the transport wants a pause. */
function sender(call: Call): { send(event: EventMessage): boolean; flush(): void } {
  let pending: EventMessage[] = [];
  let sequence = 1;
  const flush = (): boolean => {
    if (pending.length === 0) return true;
    const more = call.write({ batch: { firstSequence: sequence, events: pending } });
    sequence += pending.length;
    pending = [];
    return more;
  };
  return {
    send: (event) => {
      pending.push(event);
      return pending.length < batch || flush();
    },
    flush,
  };
}

async function receive(onEvents: (events: readonly EventMessage[]) => void): Promise<void> {
  const stream = await subscribe();
  let unacknowledged = 0;
  let last = 0;
  stream.on("data", (message: Message) => {
    const { events, firstSequence } = message.batch;
    onEvents(events);
    last = firstSequence + events.length - 1;
    unacknowledged += events.length;
    if (unacknowledged >= 256) {
      stream.write({ ack: { sequence: last } });
      unacknowledged = 0;
    }
  });
  stream.on("error", () => process.exit(0));
}

if (role === "source") {
  const call = await serve();
  const out = sender(call);
  const payload = Buffer.from(makePayload(size));
  for (let n = 1; n <= count; n++) {
    const event = {
      id: `source-1:${n}`,
      type: "bench.v1",
      payload,
      metadata: METADATA,
      timestamp: { seconds: Math.floor(Date.now() / 1000), nanos: 0 },
      sourceComponentId: "source",
      contentType: "application/json",
    };
    if (!out.send(event)) await once(call, "drain");
  }
  out.flush();
} else if (role === "sink") {
  const meter = new Meter(count);
  await receive((events) => meter.add(events.length));
} else {
  const call = await serve();
  const out = sender(call);
  await receive((events) => {
    for (const event of events) {
      if (event.type !== "bench.v1") continue;
      if (role === "map") {
        const value = JSON.parse(event.payload.toString()) as { magnitude: number };
        value.magnitude += 1;
        out.send({ ...event, payload: Buffer.from(JSON.stringify(value)) });
      } else out.send(event);
    }
    if (batch > 1) out.flush();
  });
}

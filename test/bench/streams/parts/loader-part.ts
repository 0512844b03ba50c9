import { once } from "node:events";
import { credentials, loadPackageDefinition, Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { EVENT_TYPE, METADATA, Meter, makePayload, readSettings, reportUse } from "./settings.ts";

/**
 * The baseline: what people write by hand. The same three programs over grpc-js and proto-loader with its objects, one
 * event a message or so many, the receiver dialling, `write()` honoured, acknowledged once per 256 events.
 */
const { role, count, size, listen, upstream, batch, groups } = readSettings();
process.on("SIGTERM", () => process.exit(0));
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

/** One call for each program that takes the output. */
async function serve(): Promise<readonly Call[]> {
  const server = new Server();
  const calls: Call[] = [];
  const connected = new Promise<readonly Call[]>((resolve) => {
    server.addService(EventStream.service, {
      subscribe: (call: Call) => {
        call.on("data", () => undefined);
        call.on("end", () => call.end());
        calls.push(call);
        if (calls.length === groups) resolve(calls);
      },
    });
  });
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(listen, ServerCredentials.createInsecure(), (error) => (error ? reject(error) : resolve())),
  );
  return await connected;
}

async function subscribe(): Promise<ReturnType<Client["subscribe"]>> {
  const client = new EventStream(upstream, credentials.createInsecure());
  await new Promise<void>((resolve, reject) =>
    client.waitForReady(Date.now() + 60_000, (error) => (error ? reject(error) : resolve())),
  );
  const stream = client.subscribe();
  stream.write({ open: { pipeline: "p", group: role, instanceId: role } });
  return stream;
}

/** Sends in batches, to every call alike, which encodes for each; false when one of them wants a pause. */
function sender(calls: readonly Call[]): { send(event: EventMessage): boolean; flush(): void } {
  let pending: EventMessage[] = [];
  let sequence = 1;
  const flush = (): boolean => {
    if (pending.length === 0) return true;
    let more = true;
    for (const call of calls) more = call.write({ batch: { firstSequence: sequence, events: pending } }) && more;
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

async function drained(calls: readonly Call[]): Promise<void> {
  await Promise.all(calls.filter((call) => call.writableNeedDrain).map((call) => once(call, "drain")));
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
  const calls = await serve();
  const out = sender(calls);
  const payload = Buffer.from(makePayload(size));
  for (let n = 1; n <= count; n++) {
    const event = {
      id: `source-1:${n}`,
      type: EVENT_TYPE,
      payload,
      metadata: METADATA,
      timestamp: { seconds: Math.floor(Date.now() / 1000), nanos: 0 },
      sourceComponentId: "source",
      contentType: "application/json",
    };
    if (!out.send(event)) await drained(calls);
  }
  out.flush();
} else if (role === "sink") {
  const meter = new Meter(count);
  await receive((events) => meter.add(events.length));
} else {
  const out = sender(await serve());
  await receive((events) => {
    for (const event of events) {
      if (event.type !== EVENT_TYPE) continue;
      if (role === "map") {
        const value = JSON.parse(event.payload.toString()) as { magnitude: number };
        value.magnitude += 1;
        out.send({ ...event, payload: Buffer.from(JSON.stringify(value)) });
      } else out.send(event);
    }
    if (batch > 1) out.flush();
  });
}

import { connect as connectHttp2, type Settings } from "node:http2";
import { connect as connectTcp, createServer, type Socket } from "node:net";
import { Client, type ClientDuplexStream, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { silentLogger } from "../../src/foundation/logger.ts";
import { EventEncoder } from "../../src/protocol/event-encoder.ts";
import { SlabPool } from "../../src/protocol/slab-pool.ts";
import { encodeRequest, SUBSCRIBE_PATH } from "../../src/protocol/stream-codec.ts";
import { Inlet } from "../../src/streams/receiving/inlet.ts";
import { settle } from "../../src/streams/receiving/received-event.ts";
import { type EventStreamServer, serveEventStream } from "../../src/streams/sending/event-stream-server.ts";
import { Outlet } from "../../src/streams/sending/outlet.ts";

/**
 * A source's server, an honest sibling of every liar in its own group, and an honest group beside it. Whatever a liar does,
 * both honest ones get all that is theirs.
 */
const COUNT = 20_000;
const cleanUps: (() => Promise<void> | void)[] = [];
let outlet: Outlet;
let server: EventStreamServer;
let settled: number;
/** As in components: what nobody needs any more is written over. */
let encoder: EventEncoder;
/** Ids of events that came with another content than they were sent with. */
let damaged: string[];
/** Numbers of the events that are not settled, the oldest first. */
let unsettled: Set<number>;

beforeEach(async () => {
  settled = 0;
  unsettled = new Set();
  damaged = [];
  const memory = new SlabPool();
  encoder = new EventEncoder(memory);
  outlet = new Outlet({ folder: "/nonexistent", onFailure: () => undefined, memory });
  outlet.setGroups(
    ["lied-to", "beside"].map((componentId) => ({
      componentId,
      types: [],
      partitionBy: "",
      desiredInstances: 2,
      deadLetters: false,
    })),
  );
  server = await serveEventStream({
    listen: "127.0.0.1:0",
    pipeline: "p",
    componentId: "up",
    instanceId: "up-1",
    publisher: outlet,
    log: silentLogger,
  });
  cleanUps.push(() => server.close(AbortSignal.abort()));
});

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** An honest instance: settles whatever it takes. Returns the ids that it saw. */
function honest(group: string, port = server.port): Set<string> {
  const inlet = new Inlet({
    who: { pipeline: "p", componentId: group, instanceId: `${group}-honest` },
    log: silentLogger,
  });
  const seen = new Set<string>();
  let over = false;
  const work = async (): Promise<void> => {
    while (!over) {
      const events = inlet.take();
      if (events === undefined) await inlet.ready();
      for (const event of events ?? []) {
        seen.add(event.id);
        if (event.text() !== contentOf(event.id)) damaged.push(event.id);
        settle(event);
      }
    }
  };
  const instances = [{ instanceId: "up-1", address: `127.0.0.1:${port}`, completed: false }];
  inlet.update([
    { componentId: "up", types: [], instances, completed: false, deadLetters: false, desiredInstances: 1 },
  ]);
  const working = work();
  cleanUps.push(async () => {
    over = true;
    await inlet.close(AbortSignal.abort());
    await working;
  });
  return seen;
}

/** What an event of this id contains: some 500 bytes. */
function contentOf(id: string): string {
  return `${id} `.repeat(Math.ceil(500 / id.length));
}

/** Publishes so many, and, a few at a time, as long as `more` says so. Resolves with how many it were. */
async function publish(count: number, more: () => boolean = () => false): Promise<number> {
  let n = 0;
  while (n < count || more()) {
    n++;
    const view = encoder.encode({
      id: `n-${n}`,
      type: "t",
      payload: contentOf(`n-${n}`),
      metadata: undefined,
      timestamp: undefined,
      sourceComponentId: "up",
      contentType: "",
    });
    const number = n;
    unsettled.add(number);
    outlet.publish(view, {
      settle: () => {
        settled++;
        unsettled.delete(number);
      },
    });
    await outlet.room();
    if (n > count) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return n;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

interface Liar {
  readonly call: ClientDuplexStream<Buffer, Buffer>;
  /** How its stream ended. */
  readonly ended: Promise<ServiceError>;
  received: number;
}

const PLENTY = { maxSequence: 1_000_000, maxBytes: 1e12 };

/** Opens a stream of the group that is lied to. */
function subscribe(instanceId = "liar-1", credit = PLENTY, port = server.port): Liar {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.max_send_message_length": -1,
  });
  cleanUps.push(() => client.close());
  const same = (buffer: Buffer): Buffer => buffer;
  const call = client.makeBidiStreamRequest(SUBSCRIBE_PATH, same, same, new Metadata());
  const ended = new Promise<ServiceError>((resolve) => call.on("error", resolve));
  const liar: Liar = { call, ended, received: 0 };
  call.on("data", () => liar.received++);
  const who = { pipeline: "p", group: "lied-to", instanceId, upstreamInstance: "" };
  call.write(encodeRequest({ kind: "open", open: { ...who, types: [], credit } }));
  cleanUps.push(() => call.cancel());
  return liar;
}

/** A way to the server that can fall silent: nothing passes any more, and no connection is closed. */
async function wire(): Promise<{ readonly port: number; silence(): void }> {
  const pairs: (readonly [Socket, Socket])[] = [];
  const listener = createServer((near) => {
    const far = connectTcp(server.port, "127.0.0.1");
    pairs.push([near, far]);
    for (const socket of [near, far]) {
      socket.on("error", () => undefined);
      cleanUps.push(() => {
        socket.destroy();
      });
    }
    near.pipe(far, { end: false });
    far.pipe(near, { end: false });
  });
  cleanUps.push(() => {
    listener.close();
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const address = listener.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    silence: () => {
      for (const [near, far] of pairs.splice(0)) {
        near.unpipe(far);
        far.unpipe(near);
        near.pause();
        far.pause();
      }
    },
  };
}

async function rawConnection(): Promise<Socket> {
  const socket = connectTcp(server.port, "127.0.0.1");
  socket.on("error", () => undefined);
  cleanUps.push(() => {
    socket.destroy();
  });
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  return socket;
}

const codeOf = (error: ServiceError): string => String(error.metadata.get("flowctl-code")[0] ?? error.code);

/** Publishes for as long as `lie` goes on; afterwards everything is where it belongs and acknowledged. */
async function survive(lie: () => Promise<void>): Promise<void> {
  const beside = honest("beside");
  const sibling = honest("lied-to");
  await until(() => outlet.connected === 2);
  let lying = true;
  const publishing = publish(COUNT, () => lying);
  await lie().finally(() => {
    lying = false;
  });
  const count = await publishing;
  await until(() => settled === count);
  expect(beside.size).toBe(count);
  expect(sibling.size).toBe(count);
  expect(damaged).toEqual([]);
}

describe("a peer that lies costs its own stream and nothing else, when it", () => {
  it("reads nothing for as long as it is there, and then is gone", async () => {
    await survive(async () => {
      const liar = subscribe();
      liar.call.pause();
      await until(() => settled > COUNT / 4);
      liar.call.cancel();
    });
  });

  it("takes everything that it is given, and acknowledges none of it until it is gone", async () => {
    await survive(async () => {
      const liar = subscribe("liar-1", { maxSequence: 500, maxBytes: 1e9 });
      await until(() => settled > COUNT / 4 && liar.received > 1);
      liar.call.cancel();
    });
  });

  it("acknowledges backwards", async () => {
    await survive(async () => {
      const liar = subscribe();
      await until(() => liar.received > 1);
      liar.call.write(encodeRequest({ kind: "nack", sequence: 1, reason: "no" }));
      liar.call.write(encodeRequest({ kind: "ack", sequence: 1 }));
      liar.call.write(encodeRequest({ kind: "ack", sequence: 0 }));
      expect(codeOf(await liar.ended)).toBe("stream/ack-backwards");
    });
  });

  it("subscribes a second time under the same name: the older stream ends", async () => {
    await survive(async () => {
      const first = subscribe();
      await until(() => first.received > 1);
      const second = subscribe();
      expect(codeOf(await first.ended)).toBe("stream/replaced");
      await until(() => second.received > 1);
      second.call.cancel();
    });
  });

  it("sends garbage on a stream that was good until then", async () => {
    await survive(async () => {
      const liar = subscribe();
      await until(() => liar.received > 1);
      liar.call.write(Buffer.alloc(100, 0xff));
      expect(codeOf(await liar.ended)).toBe("protocol/malformed");
    });
  });

  it("sends a message that is larger than any may be", async () => {
    await survive(async () => {
      const liar = subscribe();
      await until(() => liar.received > 1);
      liar.call.write(Buffer.alloc(24 * 1024 * 1024));
      expect((await liar.ended).code).toBe(status.RESOURCE_EXHAUSTED);
    });
  });

  it("speaks HTTP/1 to the port", async () => {
    await survive(async () => {
      const socket = await rawConnection();
      const closed = new Promise((resolve) => socket.once("close", resolve));
      socket.resume();
      socket.write("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
      await closed;
    });
  });

  it("sends bytes to the port that are of no protocol", async () => {
    await survive(async () => {
      const socket = await rawConnection();
      const closed = new Promise((resolve) => socket.once("close", resolve));
      socket.resume();
      socket.write(Buffer.alloc(10_000, 0xa5));
      await closed;
    });
  });

  it("announces a message that is larger than any request, of which all would be kept until it is whole", async () => {
    await survive(async () => {
      const liar = subscribe();
      liar.call.write(Buffer.alloc(300 * 1024));
      expect((await liar.ended).code).toBe(status.RESOURCE_EXHAUSTED);
    });
  });

  it("opens streams without end on one connection: no more than 128 are taken at once", async () => {
    const session = connectHttp2(`http://127.0.0.1:${server.port}`);
    cleanUps.push(() => session.destroy());
    const settings = await new Promise<Settings>((resolve) => session.once("remoteSettings", resolve));
    expect(settings.maxConcurrentStreams).toBe(128);
  });

  it("opens two thousand connections and says nothing on any", async () => {
    for (let i = 0; i < 2_000; i += 100) await Promise.all(Array.from({ length: 100 }, rawConnection));
    // Whoever is honest still gets in.
    await survive(async () => undefined);
  });
});

describe("a connection that falls silent without being closed", () => {
  it("is given up by the sender, and what its receiver had goes to a sibling", async () => {
    await survive(async () => {
      const { port, silence } = await wire();
      const liar = subscribe("liar-1", PLENTY, port);
      await until(() => liar.received > 1);
      silence();
      const last = Math.max(...unsettled);
      await until(() => Math.min(...unsettled) > last);
    });
  });

  it("is given up by the receiver, which dials again and gets the rest", async () => {
    const { port, silence } = await wire();
    const seen = honest("beside", port);
    const sibling = honest("lied-to");
    await until(() => outlet.connected === 2);
    const publishing = publish(COUNT);
    await until(() => seen.size > 1_000);
    silence();
    await publishing;
    await until(() => settled === COUNT);
    expect(seen.size).toBe(COUNT);
    expect(sibling.size).toBe(COUNT);
    expect(damaged).toEqual([]);
  });
});

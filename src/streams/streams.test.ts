import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { afterEach, describe, expect, it } from "vitest";
import { silentLogger } from "../foundation/logger.ts";
import { EventEncoder } from "../protocol/event-encoder.ts";
import type { Downstream, Upstream } from "../protocol/records.ts";
import { encodeRequest, SUBSCRIBE_PATH } from "../protocol/stream-codec.ts";
import { Inlet } from "./receiving/inlet.ts";
import { type ReceivedEvent, settle } from "./receiving/received-event.ts";
import { type EventStreamServer, serveEventStream } from "./sending/event-stream-server.ts";
import { Outlet } from "./sending/outlet.ts";

/** Both sides over real gRPC on the loopback interface. */
const encoder = new EventEncoder();
const cleanUps: (() => Promise<void> | void)[] = [];
const NO_ALLOWANCE = { events: 0, bytes: 0 };

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

function group(componentId: string): Downstream {
  return { componentId, types: [], partitionBy: "", desiredInstances: 1, deadLetters: false };
}

interface Up {
  readonly outlet: Outlet;
  readonly server: EventStreamServer;
  readonly address: string;
  readonly settled: Set<number>;
  publish(from: number, to: number, size?: number): Promise<void>;
  crash(): Promise<void>;
}

async function upstream(groups: readonly string[], port = 0): Promise<Up> {
  const outlet = new Outlet({ folder: "/nonexistent", onFailure: () => undefined });
  outlet.setGroups(groups.map(group));
  const server = await serveEventStream({
    listen: `127.0.0.1:${port}`,
    pipeline: "p",
    componentId: "up",
    instanceId: "up-1",
    publisher: outlet,
    log: silentLogger,
  });
  const settled = new Set<number>();
  const crash = async (): Promise<void> => await server.close(AbortSignal.abort());
  cleanUps.push(crash);
  return {
    outlet,
    server,
    settled,
    crash,
    address: `127.0.0.1:${server.port}`,
    async publish(from, to, size = 10) {
      for (let n = from; n <= to; n++) {
        const view = encoder.encode({
          id: `n-${n}`,
          type: "t",
          payload: "x".repeat(size),
          metadata: undefined,
          timestamp: undefined,
          sourceComponentId: "up",
          contentType: "",
        });
        outlet.publish(view, { settle: () => settled.add(n) });
        await outlet.room();
      }
    },
  };
}

function inlet(name = "down", instance = `${name}-1`): Inlet {
  const made = new Inlet({ who: { pipeline: "p", componentId: name, instanceId: instance }, log: silentLogger });
  made.setInFlightAllowance(NO_ALLOWANCE);
  cleanUps.push(async () => await made.close(AbortSignal.abort()));
  return made;
}

function at(address: string, more: Partial<Upstream> = {}): Upstream[] {
  const instances = [{ instanceId: "up-1", address, completed: false }];
  return [
    { componentId: "up", types: [], instances, completed: false, deadLetters: false, desiredInstances: 1, ...more },
  ];
}

/** Takes exactly `count` events. */
async function take(from: Inlet, count: number): Promise<ReceivedEvent[]> {
  const events: ReceivedEvent[] = [];
  while (events.length < count) {
    const batch = from.take();
    if (from.finished || from.isStopped) throw new Error(`only ${events.length} of ${count} events came`);
    if (batch === undefined) await from.ready();
    else events.push(...batch);
  }
  expect(events.length).toBe(count);
  return events;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

describe("an inlet and an outlet", () => {
  it("go on when an input is back that had drained, while other instances above still drain", async () => {
    const up = await upstream(["down"]);
    const down = inlet();
    const other = { instanceId: "up-2", address: "", completed: false };
    const above = (more: Partial<Upstream>) => {
      const [first] = at(up.address, { desiredInstances: 2, ...more }) as [Upstream];
      return [{ ...first, instances: [...first.instances, other] }];
    };
    down.update(above({}));
    await up.publish(1, 1);
    for (const event of await take(down, 1)) settle(event);
    up.outlet.setGroups([{ ...group("down"), draining: true }]);
    down.update(above({ draining: true }));
    await until(() => up.outlet.drainedGroups().length === 1 && up.outlet.connected === 0);
    up.outlet.setGroups([group("down")]);
    down.update(above({}));
    await up.publish(2, 11);
    for (const event of await take(down, 10)) settle(event);
    await until(() => up.settled.size === 11);
  });

  it("carry every event, in order, and acknowledge what is settled", async () => {
    const up = await upstream(["down"]);
    const down = inlet();
    down.update(at(up.address));
    const publishing = up.publish(1, 20_000);
    let next = 1;
    while (next <= 20_000) {
      const batch = down.take();
      if (batch === undefined) await down.ready();
      for (const event of batch ?? []) {
        expect(event.id).toBe(`n-${next++}`);
        settle(event);
      }
    }
    await publishing;
    await until(() => up.settled.size === 20_000);
  });

  it("never have more on the way than the window, however slow the receiver", async () => {
    const up = await upstream(["down"]);
    const down = inlet();
    down.update(at(up.address));
    const publishing = up.publish(1, 20_000);
    const events = await take(down, 16_384);
    await new Promise((resolve) => setImmediate(resolve));
    expect(down.take()).toBeUndefined();
    for (const event of events) settle(event);
    for (const event of await take(down, 20_000 - 16_384)) settle(event);
    await publishing;
  });

  it("acknowledge only up to the first event that is not done", async () => {
    const up = await upstream(["down"]);
    const down = inlet();
    down.update(at(up.address));
    await up.publish(1, 10);
    const events = await take(down, 10);
    for (const index of [0, 1, 3, 4, 9]) settle(events[index]!);
    await until(() => up.settled.size === 2);
    settle(events[2]!);
    await until(() => up.settled.size === 5);
  });

  it("carry events of up to 16 MiB, one at a time where credit allows no more", async () => {
    const up = await upstream(["down"]);
    const down = inlet();
    down.update(at(up.address));
    const publishing = up.publish(1, 3, 16 * 1024 * 1024 - 100);
    for (let n = 1; n <= 3; n++) {
      const [event] = await take(down, 1);
      expect(event?.payload.length).toBe(16 * 1024 * 1024 - 100);
      settle(event!);
    }
    await publishing;
    await until(() => up.settled.size === 3);
  });

  it("give unacknowledged events to the successor of an instance that left, and none that it acknowledged", async () => {
    const up = await upstream(["down"]);
    const first = inlet();
    first.update(at(up.address));
    await up.publish(1, 10);
    const events = await take(first, 10);
    for (const event of events.slice(0, 4)) settle(event);
    await first.close(AbortSignal.timeout(5_000));
    expect(up.settled.size).toBe(4);
    const second = inlet();
    second.update(at(up.address));
    expect((await take(second, 6)).map((event) => event.id)).toEqual([5, 6, 7, 8, 9, 10].map((n) => `n-${n}`));
  });

  it("do not work twice on an event that is still being worked on when the stream breaks", async () => {
    const up = await upstream(["down"]);
    const down = inlet();
    down.update(at(up.address));
    await up.publish(1, 5);
    const events = await take(down, 5);
    await up.crash();
    // The successor of the upstream replays with the same ids.
    const successor = await upstream(["down"], Number(up.address.split(":")[1]));
    await successor.publish(1, 7);
    expect((await take(down, 2)).map((event) => event.id)).toEqual(["n-6", "n-7"]);
    for (const event of events) settle(event);
    await until(() => successor.settled.size === 5);
  });

  it("find an upstream instance that moved to another address", async () => {
    const old = await upstream(["down"]);
    const down = inlet();
    down.update(at(old.address));
    await old.publish(1, 1);
    settle((await take(down, 1))[0]!);
    await old.crash();
    const moved = await upstream(["down"]);
    down.update(at(moved.address));
    await moved.publish(2, 2);
    expect((await take(down, 1))[0]?.id).toBe("n-2");
  });

  it("keep dialling an upstream that stopped until its successor has an address", async () => {
    const up = await upstream(["down"]);
    const down = inlet();
    down.update(at(up.address));
    await up.publish(1, 1);
    settle((await take(down, 1))[0]!);
    await up.crash();
    down.update(at(""));
    const successor = await upstream(["down"]);
    down.update(at(successor.address));
    await successor.publish(2, 2);
    expect((await take(down, 1))[0]?.id).toBe("n-2");
  });

  it("finish when the upstream has ended and everything was acknowledged", async () => {
    const up = await upstream(["down"]);
    const down = inlet();
    down.update(at(up.address));
    await up.publish(1, 3);
    up.outlet.end();
    const events = await take(down, 3);
    expect(down.finished).toBe(false);
    for (const event of events) settle(event);
    await up.outlet.drained();
    await until(() => down.finished);
    await down.close(AbortSignal.timeout(5_000));
    await up.server.close(AbortSignal.timeout(5_000));
  });

  it("finish when the control plane says that the upstream completed while this side was away", async () => {
    const down = inlet();
    down.update(
      at("127.0.0.1:1", { completed: true, instances: [{ instanceId: "up-1", address: "", completed: true }] }),
    );
    await until(() => down.finished);
  });

  it("wait for every instance of an upstream before they finish", async () => {
    const up = await upstream(["down"]);
    const down = inlet();
    down.update(at(up.address, { desiredInstances: 2 }));
    await up.publish(1, 1);
    up.outlet.end();
    settle((await take(down, 1))[0]!);
    await until(() => up.settled.size === 1 && up.outlet.connected === 0);
    expect(down.finished).toBe(false);
    down.update(at(up.address, { desiredInstances: 1 }));
    await until(() => down.finished);
  });
});

describe("an event stream server", () => {
  /** A peer that says whatever it likes. */
  async function speak(up: Up, messages: readonly Buffer[]): Promise<ServiceError> {
    const client = new Client(up.address, credentials.createInsecure());
    cleanUps.push(() => client.close());
    const same = (buffer: Buffer): Buffer => buffer;
    const call = client.makeBidiStreamRequest(SUBSCRIBE_PATH, same, same, new Metadata());
    call.on("data", () => undefined);
    for (const message of messages) call.write(message);
    return await new Promise((resolve) => call.on("error", resolve));
  }

  const open = (more: object = {}): Buffer =>
    encodeRequest({
      kind: "open",
      open: {
        pipeline: "p",
        group: "down",
        instanceId: "liar-1",
        types: [],
        credit: { maxSequence: 10, maxBytes: 1e6 },
        upstreamInstance: "",
        ...more,
      },
    });

  it.each([
    ["sends garbage", "protocol/malformed", [Buffer.from([0xff, 0xff, 0xff])]],
    ["does not begin with Open", "stream/protocol", [encodeRequest({ kind: "ack", sequence: 1 })]],
    ["opens twice", "stream/protocol", [open(), open()]],
    ["belongs to another pipeline", "stream/wrong-pipeline", [open({ pipeline: "other" })]],
    ["is of no group of this component", "stream/unknown-group", [open({ group: "stranger" })]],
    ["says not who it is", "stream/protocol", [open({ instanceId: "" })]],
    [
      "acknowledges what it was not sent",
      "stream/ack-of-unsent",
      [open(), encodeRequest({ kind: "ack", sequence: 99 })],
    ],
  ])("ends the stream of a peer that %s, and serves the others", async (_what, code, messages) => {
    const up = await upstream(["down", "honest"]);
    const honest = inlet("honest");
    honest.update(at(up.address));
    const error = await speak(up, messages);
    expect(String(error.metadata.get("flowctl-code")[0])).toBe(code);
    await up.publish(1, 3);
    expect((await take(honest, 3)).length).toBe(3);
  });

  it("goes on with others while one peer does not read", async () => {
    const up = await upstream(["down", "honest"]);
    const stalled = inlet("down");
    stalled.update(at(up.address));
    await until(() => up.outlet.connected === 1);
    const honest = inlet("honest");
    honest.update(at(up.address));
    await up.publish(1, 4000);
    for (const event of await take(honest, 4000)) settle(event);
    for (const event of await take(stalled, 4000)) settle(event);
    await until(() => up.settled.size === 4000);
  });
});

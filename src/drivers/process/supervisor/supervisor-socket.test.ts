import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../../foundation/clock.ts";
import { FlowctlError } from "../../../foundation/errors.ts";
import { messageType } from "../../../protocol/message-type.ts";
import { method } from "../../../protocol/service-methods.ts";
import type { DriverEvent } from "../../driver.ts";
import { driverEvents } from "../events.ts";
import type { SupervisorSocket } from "./protocol-version.ts";
import { createSupervisorClient } from "./supervisor-client.ts";
import { applyCodec, type InstanceOrder } from "./supervisor-codec.ts";
import { supervisorService } from "./supervisor-messages.ts";
import { type SupervisorRequests, type SupervisorServer, serveSupervisor } from "./supervisor-server.ts";

const never = new AbortController().signal;
const me = { version: "1.2.3", pid: 7, grpc: "127.0.0.1:1", http: "http://127.0.0.1:2", secure: true };
const { apply, shutdown } = supervisorService;
const supervisors = createSupervisorClient();
const { hello, request } = supervisors;
const event: DriverEvent = { type: "started", key: "component/a-1", time: 1 };

let folder = "";
let server: SupervisorServer | undefined;
const at = (): SupervisorSocket => ({ socket: join(folder, "s.sock") });
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "flowctl-socket-"));
});
afterEach(async () => {
  await server?.close();
  server = undefined;
  rmSync(folder, { recursive: true, force: true });
});

const hang = (): Promise<never> => new Promise(() => undefined);

async function* eventsWithoutEnd(signal: AbortSignal): AsyncGenerator<DriverEvent> {
  yield event;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

function requests(some: Partial<SupervisorRequests> = {}): SupervisorRequests {
  return {
    hello: () => me,
    apply: async () => undefined,
    events: (_since, signal) => eventsWithoutEnd(signal),
    shutdown: async () => undefined,
    ...some,
  };
}

async function serve(some: Partial<SupervisorRequests> = {}): Promise<void> {
  server = await serveSupervisor(at(), requests(some));
}

const ask = (deadlineMs = 20_000, signal = never): Promise<unknown> => hello(at(), signal, deadlineMs);

describe("a request", () => {
  test("is answered", async () => {
    await serve();
    expect(await ask()).toEqual(me);
  });

  test("arrives as it was sent", async () => {
    const orders: InstanceOrder[] = [];
    await serve({ apply: async (order) => void orders.push(order) });
    const named = { key: "component/a-2", owner: "a", index: 2 } as const;
    const resource = { ...named, hash: "h", parts: { image: "i", __proto__x: "y" }, spec: { argv: ["ä😀"] } };
    const observed = { ...named, ref: "77" };
    const values = {
      secretValues: new Map([["s", Buffer.from([0, 255, 10])]]),
      configValues: new Map([["c", Buffer.from("c")]]),
    };
    const changes = [
      { action: "create", resource },
      { action: "replace", resource, observed },
      { action: "stop", observed, keepSecrets: true },
    ] as const;
    for (const change of changes) {
      await request(at(), apply, applyCodec.toMessage({ change, force: true, values }), { signal: never });
    }
    expect(orders).toEqual(changes.map((change) => ({ change: expect.objectContaining(change), force: true, values })));
  });

  test("gets the error that the supervisor threw, with code, kind, place and fix", async () => {
    const error = { code: "process/spawn-failed", kind: "unavailable", message: "nö", fix: "do", path: "a.b" } as const;
    await serve({
      hello: () => {
        throw new FlowctlError(error);
      },
    });
    await expect(ask()).rejects.toMatchObject(error);
  });

  test("gets what else went wrong as a defect of the supervisor", async () => {
    await serve({ hello: () => Promise.reject(new TypeError("x is not a function")) });
    const message = expect.stringContaining("x is not a function");
    await expect(ask()).rejects.toMatchObject({ code: "process/supervisor-defect", kind: "internal", message });
  });

  test("says so when there is no supervisor", async () => {
    await expect(ask()).rejects.toMatchObject({ code: "process/no-supervisor" });
  });

  test("says so when a supervisor died and left its socket", async () => {
    mkdirSync(join(folder, "other"));
    const other = join(folder, "other", "s.sock");
    const dead = createServer();
    await new Promise<void>((resolve) => dead.listen(other, resolve));
    // Under another name the file outlives its server.
    renameSync(other, at().socket);
    await new Promise((resolve) => dead.close(resolve));
    await expect(ask()).rejects.toMatchObject({ code: "process/no-supervisor" });
  });

  test("ends at its deadline when the supervisor hangs", async () => {
    await serve({ hello: hang });
    await expect(ask(50)).rejects.toMatchObject({ code: "process/supervisor-lost" });
  });

  test("ends at its deadline when nobody says anything, and lets go of the connection", async () => {
    const mute = createServer((client) => client.resume());
    await new Promise<void>((resolve) => mute.listen(at().socket, resolve));
    await expect(ask(50)).rejects.toMatchObject({ code: "process/supervisor-lost" });
    await new Promise((resolve) => mute.close(resolve));
  });

  test("says so when the supervisor ends in the middle of it", async () => {
    await serve({
      hello: () => {
        setImmediate(() => void server?.close());
        return hang();
      },
    });
    await expect(ask()).rejects.toMatchObject({ code: "process/no-supervisor" });
  });

  test("fails when the supervisor breaks it off and goes on", async () => {
    const mute = createServer((client) => {
      client.on("error", () => undefined);
      client.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
      client.once("data", () => client.destroy());
    });
    await new Promise<void>((resolve) => mute.listen(at().socket, resolve));
    await expect(ask()).rejects.toMatchObject({ code: "process/supervisor-lost" });
    await new Promise((resolve) => mute.close(resolve));
  });

  test("that is given up is cancelled on the other side too", async () => {
    const stop = new AbortController();
    let cancelled: Promise<void> | undefined;
    await serve({
      apply: (_order, signal) => {
        cancelled = new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
        stop.abort();
        return hang();
      },
    });
    const message = { action: "ACTION_START", owner: "a", index: 1 };
    await expect(request(at(), apply, message, { signal: stop.signal })).rejects.toMatchObject({
      kind: "cancelled",
    });
    await cancelled;
  });

  test("that is larger than the supervisor takes is refused, and no more of it is kept", async () => {
    await serve();
    const message = { action: "ACTION_START", owner: "a", index: 1, secrets: { s: Buffer.alloc(65 * 1024 * 1024) } };
    await expect(request(at(), apply, message, { signal: never })).rejects.toMatchObject({
      code: "process/bad-request",
    });
    expect(await ask()).toEqual(me);
  });

  test("to end is answered when everything is over", async () => {
    let asked = "";
    let isOver = false;
    await serve({
      shutdown: async (instances) => {
        asked = instances;
        await new Promise((resolve) => setImmediate(resolve));
        isOver = true;
        setImmediate(() => void server?.close());
      },
    });
    await request(at(), shutdown, { instances: "ENDING_KILL" }, { signal: never });
    expect({ asked, isOver }).toEqual({ asked: "kill", isOver: true });
  });
});

describe("another version of flowctl", () => {
  test("whose supervisor serves another version of the service is recognized", async () => {
    await serve();
    const nothing = messageType("nothing", {});
    const later = method("/flowctl.supervisor.v99.Supervisor/Hello", nothing, nothing);
    await expect(request(at(), later, {}, { signal: never })).rejects.toMatchObject({
      code: "process/protocol-mismatch",
    });
  });

  test("is not seen in a supervisor that closes the connection without a word", async () => {
    const broken = createServer((client) => {
      client.on("error", () => undefined);
      client.destroy();
    });
    await new Promise<void>((resolve) => broken.listen(at().socket, resolve));
    await expect(ask()).rejects.toMatchObject({ code: "process/supervisor-lost" });
    await new Promise((resolve) => broken.close(resolve));
  });
});

test("only the user may open the socket, and one that a dead supervisor left is no hindrance", async () => {
  await serve();
  expect(statSync(at().socket).mode & 0o777).toBe(0o600);
  const second = await serveSupervisor(at(), requests({ hello: () => ({ ...me, pid: 8 }) }));
  expect(await ask()).toMatchObject({ pid: 8 });
  await second.close();
});

test("a socket under /tmp is used only in a folder that is the user's alone", async () => {
  const shared = mkdtempSync("/tmp/flowctl-shared-");
  const path = { socket: join(shared, "s.sock") };
  const own = await serveSupervisor(path, requests());
  expect(await hello(path, never, 20_000)).toEqual(me);
  chmodSync(shared, 0o777);
  const refused = { code: "process/socket-not-private", kind: "denied" };
  await expect(hello(path, never, 20_000)).rejects.toMatchObject(refused);
  await expect(serveSupervisor(path, requests())).rejects.toMatchObject(refused);
  await own.close();
  rmSync(shared, { recursive: true });
});

test("a supervisor that takes the place of another is found at once", async () => {
  await serve();
  await ask();
  await server?.close();
  await expect(ask()).rejects.toMatchObject({ code: "process/no-supervisor" });
  await serve({ hello: () => ({ ...me, pid: 8 }) });
  expect(await ask()).toMatchObject({ pid: 8 });
});

test("a supervisor that is asked for nothing more goes on with what it was asked before", async () => {
  let go: () => void = () => undefined;
  const begun = new Promise<void>((begin) => {
    void serve({
      apply: () => {
        begin();
        return new Promise<void>((resolve) => {
          go = resolve;
        });
      },
    }).then(() => {
      answer = request(at(), apply, { action: "ACTION_START", owner: "a", index: 1 }, { signal: never });
    });
  });
  let answer: Promise<unknown> | undefined;
  await begun;
  server?.refuse();
  await expect(ask()).rejects.toMatchObject({ code: "process/no-supervisor" });
  go();
  await answer;
});

describe("events", () => {
  test("are told as they were, each kind", async () => {
    const all: readonly DriverEvent[] = [
      event,
      { type: "exited", key: "component/a-1", time: 2, exitCode: -1, oomKilled: false, willRestart: false },
      { type: "health", key: "component/a-1", time: 3, health: "unhealthy" },
      { type: "health", key: "component/a-1", time: 4, health: "healthy" },
      { type: "removed", key: "component/a-1", time: 5 },
    ];
    let since = 0;
    await serve({
      events: async function* (from, signal) {
        since = from;
        yield* all;
        yield* eventsWithoutEnd(signal);
      },
    });
    const told: DriverEvent[] = [];
    const before = Date.now();
    for await (const one of driverEvents(supervisors, at(), systemClock, never)) {
      told.push(one);
      if (told.length === all.length) break;
    }
    expect(told).toEqual(all);
    expect(since).toBeGreaterThanOrEqual(before);
  });

  test("wait for a supervisor, and end quietly when their signal fires", async () => {
    const stop = new AbortController();
    const events = driverEvents(supervisors, at(), systemClock, stop.signal)[Symbol.asyncIterator]();
    const first = events.next();
    await serve();
    expect((await first).value).toEqual(event);
    const rest = events.next();
    stop.abort();
    expect((await rest).done).toBe(true);
  });

  test("fail when the supervisor ends, or says why", async () => {
    await serve();
    const events = driverEvents(supervisors, at(), systemClock, never)[Symbol.asyncIterator]();
    await events.next();
    void server?.close();
    await expect(events.next()).rejects.toMatchObject({ code: "process/supervisor-lost" });
    await serve({
      // biome-ignore lint/correctness/useYield: it fails before it has any
      events: async function* () {
        throw new FlowctlError({ code: "process/no-events", kind: "failed", message: "none" });
      },
    });
    await expect(driverEvents(supervisors, at(), systemClock, never).next()).rejects.toMatchObject({
      code: "process/no-events",
    });
  });

  test("wait at the supervisor for a command that does not take them", async () => {
    const many = 200_000;
    let made = 0;
    await serve({
      events: async function* () {
        for (; made < many; made++) yield event;
      },
    });
    const events = driverEvents(supervisors, at(), systemClock, never);
    await events.next();
    for (let still = 0, last = -1; still < 50; ) {
      await new Promise((resolve) => setImmediate(resolve));
      still = made === last ? still + 1 : 0;
      last = made;
    }
    expect(made).toBeLessThan(many);
    await events.return(undefined);
  });
});

describe("what is no request", () => {
  const start = { action: "ACTION_START", owner: "a", index: 1 };
  const create = { ...start, action: "ACTION_CREATE", spec: Buffer.from("{}") };
  const json = (text: string): object => ({ ...create, spec: Buffer.from(text) });
  test.each([
    ["nothing", {}],
    ["an action of nobody knows what", { ...start, action: "ACTION_UNSPECIFIED" }],
    ["a change of nothing", { action: "ACTION_STOP" }],
    ["a change of what is elsewhere", { ...start, owner: "../x" }],
    ["a change of an instance without number", { ...start, index: 0 }],
    ["something that is made of nothing", { ...create, spec: Buffer.alloc(0) }],
    ["something that is made of a list", json("[]")],
    ["something that is made of null", json("null")],
    ["something that is made of half a text", json('{"argv":')],
  ])("is refused, and nothing is done: %s", async (_what, message) => {
    let handled = 0;
    await serve({ apply: async () => void handled++ });
    await expect(request(at(), apply, message, { signal: never })).rejects.toMatchObject({
      code: "process/bad-request",
      kind: "invalid",
    });
    expect(handled).toBe(0);
    expect(await ask()).toEqual(me);
  });

  test("is refused: an end without saying of what", async () => {
    let handled = 0;
    await serve({ shutdown: async () => void handled++ });
    await expect(request(at(), shutdown, {}, { signal: never })).rejects.toMatchObject({
      code: "process/bad-request",
    });
    expect(handled).toBe(0);
  });

  test("is refused: bytes that are no message", async () => {
    let handled = 0;
    await serve({ apply: async () => void handled++ });
    const broken = method(apply.path, { ...apply.request, encode: () => Buffer.from([0x0a, 0xff]) }, apply.response);
    await expect(request(at(), broken, {}, { signal: never })).rejects.toMatchObject({ kind: "internal" });
    expect(handled).toBe(0);
    expect(await ask()).toEqual(me);
  });
});

import { copyFile, mkdir, open, readFile, rename, symlink } from "node:fs/promises";
import { connect as connectTcp, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { joinPipeline } from "../../src/client/registry-client.ts";
import { componentSpec } from "../../src/control-plane/pipeline.fake.ts";
import { systemClock } from "../../src/foundation/clock.ts";
import { silentLogger } from "../../src/foundation/logger.ts";
import { identityOf } from "../../src/identity/authority.ts";
import { instanceName, testIdentity, testSource } from "../../src/identity/identity.fake.ts";
import { changingIdentity, type IdentitySource } from "../../src/identity/tls-identity.ts";
import { componentRegistry } from "../../src/protocol/registry-messages.ts";
import { encodeRequest, SUBSCRIBE_PATH } from "../../src/protocol/stream-codec.ts";
import type { ComponentDefinition } from "../../src/sdk/component.ts";
import { defineProcessor, defineSink, defineSource, type Event } from "../../src/sdk/index.ts";
import { Inlet } from "../../src/streams/receiving/inlet.ts";
import { serveEventStream } from "../../src/streams/sending/event-stream-server.ts";
import { Outlet } from "../../src/streams/sending/outlet.ts";
import { freePort } from "../free-port.ts";
import { call, dial, hangUp } from "./identity-calls.ts";
import { IdentityWorld, soon } from "./identity-world.ts";
import { anything, collect, numbers, numbersOf, oneTo, until } from "./sdk-components.ts";

let world: IdentityWorld;

afterEach(async () => {
  hangUp();
  await world.dispose();
});

const source = componentSpec({ id: "s", type: "source" });
const sink = componentSpec({ id: "k", type: "sink" }, "s");
const renew = componentRegistry.renew.path;

/** A source that emits nothing and ends when it is stopped. */
const idle = defineSource<unknown, number>({
  name: "idle",
  version: "1",
  config: anything,
  open: ({ signal }) => ({
    run: () => new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve())),
  }),
});

const same = defineProcessor({
  name: "same",
  version: "1",
  config: anything,
  open: () => ({ process: (event, emit) => emit({ json: event.json() }) }),
});

/** A sink that has taken everything and closes once `opened` is called. */
function closingSink() {
  let opened: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    opened = resolve;
  });
  const state = { isClosing: false, opened };
  const definition = defineSink({
    name: "closing",
    version: "1",
    config: anything,
    open: () => ({
      async write() {},
      async close() {
        state.isClosing = true;
        await gate;
      },
    }),
  });
  return { state, definition };
}

/** A working certificate of an instance, and what it joins with the next time. */
async function joined(component: string): Promise<IdentitySource> {
  const joining = await world.identity.begin(component, `${component}-1`);
  const own = changingIdentity(instanceName(component, "joining"), identityOf(world.identity.authority, joining));
  const { working } = await joinPipeline(world.address, own, soon());
  return changingIdentity(instanceName(component), identityOf(world.identity.authority, working));
}

const expired = () => until(() => Date.now() > world.lastExpiry);

describe("components with an identity", () => {
  it("lose nothing, and open no stream anew, when their certificates are renewed", async () => {
    world = await IdentityWorld.create(2_000);
    await world.apply(componentSpec({ id: "s", type: "source" }), componentSpec({ id: "k", type: "sink" }, "s"));
    const begun = world.issued;
    const got: Event[] = [];
    const log = recordingLog();
    let enough = false;
    const source = defineSource<unknown, number>({
      name: "endless",
      version: "1",
      config: anything,
      open: ({ position = 0, signal }) => ({
        async run(emit) {
          for (let n = position + 1; !enough && !signal.aborted; n++) {
            await emit({ type: "number", json: { n } }, n);
            if (n % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
          }
        },
      }),
    });
    const parts = [await world.start("s", source), await world.start("k", collect(got), { log: log.logger })];
    // Four are made for their joining; each renewal makes one more, so that what they began with has expired by then.
    const kept = () => Promise.all(parts.map(({ files }) => readFile(files.key, "utf8")));
    await until(() => world.issued - begun >= 6);
    const atFirst = await kept();
    await until(() => world.issued - begun >= 4 + 8);
    expect(await kept()).toEqual(atFirst);
    enough = true;
    expect(await Promise.all(parts.map(({ outcome }) => outcome))).toEqual(["completed", "completed"]);
    expect(got.length).toBeGreaterThan(0);
    expect(numbersOf(got)).toEqual(oneTo(got.length));
    expect(log.count("connected to upstream")).toBe(1);
    expect(log.warnings).toEqual([]);
  });

  it("join again when their certificates have expired while the control plane was away, and events go on flowing", async () => {
    world = await IdentityWorld.create(1_000);
    await world.apply(componentSpec({ id: "s", type: "source" }), componentSpec({ id: "k", type: "sink" }, "s"));
    const got: Event[] = [];
    let enough = false;
    const parts = [
      await world.start(
        "s",
        endless(() => enough),
      ),
      await world.start("k", collect(got)),
    ];
    const joinedAt = await Promise.all(parts.map(({ files }) => readFile(files.key, "utf8")));
    await until(async () => (await stateOf("k")) === "healthy" && got.length > 0);
    await world.stopControlPlane();
    const before = got.length;
    await until(() => Date.now() > world.lastExpiry && got.length > before);
    await world.startControlPlane();
    await until(async () => {
      const now = await Promise.all(parts.map(({ files }) => readFile(files.key, "utf8")));
      return now.every((content, at) => content !== joinedAt[at]) && (await stateOf("k")) === "healthy";
    });
    enough = true;
    expect(await Promise.all(parts.map(({ outcome }) => outcome))).toEqual(["completed", "completed"]);
    expect(numbersOf(got)).toEqual(oneTo(got.length));
  });

  it("complete when their certificates have expired before they could say so", async () => {
    world = await IdentityWorld.create(1_000);
    await world.apply(source, sink);
    const closing = closingSink();
    const first = await world.start("s", numbers(10));
    const last = await world.start("k", closing.definition);
    expect(await first.outcome).toBe("completed");
    await until(() => closing.state.isClosing);
    await world.stopControlPlane();
    closing.state.opened();
    await expired();
    await world.startControlPlane();
    expect(await last.outcome).toBe("completed");
    expect(await stateOf("k")).toBe("completed");
  });
});

describe("a component", () => {
  it("ends with the reason when it is refused another certificate while it waits to be registered", async () => {
    world = await IdentityWorld.create(1_000);
    const run = await world.start("s", idle);
    await until(() => world.issued >= 2);
    await world.stopControlPlane();
    await world.identity.begin("s", "s-1");
    await expired();
    await world.startControlPlane();
    await expect(run.outcome).rejects.toMatchObject({ code: "identity/superseded" });
  });

  it("joins again where its clock was set forward beyond its certificate, and loses nothing", async () => {
    let ahead = 0;
    world = await IdentityWorld.create(undefined, { ...systemClock, now: () => Date.now() + ahead });
    await world.apply(source, sink);
    const got: Event[] = [];
    let enough = false;
    const parts = [
      await world.start(
        "s",
        endless(() => enough),
      ),
      await world.start("k", collect(got)),
    ];
    await until(async () => (await stateOf("k")) === "healthy" && (await stateOf("s")) === "healthy" && got.length > 0);
    const kept = () => Promise.all(parts.map(({ files }) => readFile(files.key, "utf8")));
    const before = await kept();
    ahead = 25 * 60 * 60 * 1000;
    await until(async () => (await kept()).every((content, at) => content !== before[at]));
    await until(async () => (await stateOf("k")) === "healthy" && (await stateOf("s")) === "healthy");
    enough = true;
    expect(await Promise.all(parts.map(({ outcome }) => outcome))).toEqual(["completed", "completed"]);
    expect(numbersOf(got)).toEqual(oneTo(got.length));
  });

  it("goes on while what it is to join with the next time cannot be put into its place", async () => {
    world = await IdentityWorld.create(1_000);
    await world.apply(source);
    const files = await world.begin("s");
    const scratch = join(world.folder, "scratch");
    await copyFile(files.key, scratch);
    const handle = await open(scratch);
    const good = join(world.folder, "good");
    const place = join(world.folder, "place");
    const name = String(handle.fd);
    const path = join(place, name);
    await mkdir(good);
    await copyFile(files.key, join(good, name));
    const leadTo = async (folder: string): Promise<void> => {
      await symlink(folder, `${place}.new`);
      await rename(`${place}.new`, place);
    };
    try {
      await leadTo(good);
      const run = await world.start("s", idle, { files: { ...files, certificate: path, key: path } });
      await until(async () => (await stateOf("s")) === "healthy");
      await world.stopControlPlane();
      await expired();
      const spent = await readFile(path, "utf8");
      await copyFile(join(good, name), scratch);
      // A folder in which the file can be read, and nothing can be put beside it, by nobody.
      await leadTo("/proc/self/fd");
      await world.startControlPlane();
      const answers = world.issued;
      await until(() => world.issued >= answers + 4);
      expect(await readFile(path, "utf8")).toBe(spent);
      await leadTo(good);
      await until(async () => (await readFile(path, "utf8")) !== spent);
      await until(async () => (await stateOf("s")) === "healthy");
      run.stop();
      expect(await run.outcome).toBe("stopped");
    } finally {
      await handle.close();
    }
  });

  it("is healthy, and not ready, while it waits for the control plane to join", async () => {
    world = await IdentityWorld.create();
    await world.apply(source);
    await world.stopControlPlane();
    const { healthPort } = await world.start("s", idle);
    const status = (path: string) =>
      fetch(`http://127.0.0.1:${healthPort}${path}`).then(
        (answer) => answer.status,
        () => 0,
      );
    await until(async () => (await status("/health")) === 200);
    expect(await status("/ready")).toBe(503);
    await world.startControlPlane();
    await until(async () => (await status("/ready")) === 200);
  });

  it("leaves the connection to the control plane that it had before its certificate was renewed", async () => {
    world = await IdentityWorld.create(1_000);
    await world.apply(source);
    const between = await proxy(world.address);
    try {
      await world.start("s", idle, { controlPlane: between.address });
      // The first is the one by which it joins.
      await until(() => between.closed.has(0) && between.closed.has(1) && between.count > 2);
      await until(async () => (await stateOf("s")) === "healthy");
    } finally {
      await between.close();
    }
  });
});

describe("an instance that the pipeline does not have any more", () => {
  it("is given no certificate", async () => {
    world = await IdentityWorld.create();
    await world.apply(source, sink);
    const client = dial(world.address, await joined("k"));
    expect((await call(client, renew)).status).toBe("OK");
    await world.apply(source);
    const refusal = { status: "PERMISSION_DENIED", code: "identity/not-wanted" };
    expect(await call(client, renew)).toMatchObject(refusal);
    await expect(joined("k")).rejects.toMatchObject({ code: "identity/not-wanted", kind: "denied" });
    await expect(joined("s")).resolves.toBeDefined();
  });

  it("is given certificates until it has left", async () => {
    world = await IdentityWorld.create(1_000);
    const linear = [
      source,
      componentSpec({ id: "p", type: "processor" }, "s"),
      componentSpec({ id: "k", type: "sink" }, "p"),
    ];
    await world.apply(...linear);
    let opened: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      opened = resolve;
    });
    let taken = 0;
    const slow = defineSink({
      name: "slow",
      version: "1",
      config: anything,
      open: () => ({
        async write(events) {
          taken += events.length;
          await gate;
        },
      }),
    });
    const parts = [await world.start("s", numbers(10)), await world.start("p", same), await world.start("k", slow)];
    await until(() => taken > 0);
    const spec = { name: "p", driver: "process" as const, components: [source, sink] };
    await world.operator.applyPipeline(spec, soon(), { existing: ["s-1", "p-1", "k-1"] });
    const { lastExpiry } = world;
    await until(() => Date.now() > lastExpiry + 500);
    opened();
    const [, leaving] = parts;
    expect(await leaving?.outcome).toMatch(/^(completed|stopped)$/);
    expect(await Promise.all([parts[0]?.outcome, parts[2]?.outcome])).toEqual(["completed", "completed"]);
    expect(taken).toBe(10);
  });
});

describe("a connection that has outlasted its certificate", () => {
  const refusal = { status: "UNAUTHENTICATED", code: "identity/expired" };

  it("is good for no call of the control plane", async () => {
    world = await IdentityWorld.create(1_000);
    await world.apply(source, sink);
    const client = dial(world.address, await joined("k"));
    expect((await call(client, renew)).status).toBe("OK");
    await expired();
    expect(await call(client, renew)).toMatchObject(refusal);
  });

  it("is good for no new stream of a component", async () => {
    world = await IdentityWorld.create(1_000);
    await world.apply(source, sink);
    const { port } = await world.start("s", idle);
    await until(async () => (await stateOf("s")) === "healthy");
    const client = dial(`127.0.0.1:${port}`, await joined("k"), instanceName("s"));
    const { lastExpiry } = world;
    const credit = { maxSequence: 1, maxBytes: 1_000 };
    const opening = { pipeline: "p", group: "k", instanceId: "k-1", types: [], credit, upstreamInstance: "s-1" };
    const subscribe = () => call(client, SUBSCRIBE_PATH, encodeRequest({ kind: "open", open: opening }));
    expect((await subscribe()).status).toBe("OK");
    await until(() => Date.now() > lastExpiry);
    expect(await subscribe()).toMatchObject(refusal);
  });

  it("is given up for one with the newest certificate when a stream has to be opened anew", async () => {
    world = await IdentityWorld.create();
    const { authority } = world.identity;
    let ahead = 0;
    const clock = { now: () => Date.now() + ahead };
    const outlet = new Outlet({ folder: world.folder, onFailure: () => undefined });
    const groups = [{ componentId: "k", types: [], partitionBy: "", desiredInstances: 1, deadLetters: false }];
    outlet.setGroups(groups);
    const server = await serveEventStream({
      ...{ listen: "127.0.0.1:0", pipeline: "p", componentId: "s", instanceId: "s-1", publisher: outlet, clock },
      log: silentLogger,
      identity: await testSource(authority, instanceName("s")),
    });
    const hour = 60 * 60 * 1000;
    const identity = await testSource(authority, instanceName("k"), new Date(Date.now() + hour));
    const log = recordingLog();
    const inlet = new Inlet({
      who: { pipeline: "p", componentId: "k", instanceId: "k-1", identity },
      log: log.logger,
    });
    try {
      inlet.setInFlightAllowance({ events: 0, bytes: 0 });
      const instances = [{ instanceId: "s-1", address: `127.0.0.1:${server.port}`, completed: false }];
      inlet.update([
        { componentId: "s", types: [], instances, completed: false, deadLetters: false, desiredInstances: 1 },
      ]);
      await until(() => outlet.connected === 1);
      ahead = 2 * hour;
      const breakOff = (): void => {
        outlet.setGroups([]);
        outlet.setGroups(groups);
      };
      breakOff();
      await until(() => log.codes.includes("identity/expired"));
      expect(outlet.connected).toBe(0);
      identity.change(await testIdentity(authority, instanceName("k"), new Date(clock.now() + hour)));
      await until(() => outlet.connected === 1);
      // Next time it does not even try the connection before.
      identity.change(await testIdentity(authority, instanceName("k")));
      ahead = 4 * hour;
      const refused = log.codes.filter((code) => code === "identity/expired").length;
      breakOff();
      await until(() => outlet.connected === 1);
      expect(log.codes.filter((code) => code === "identity/expired")).toHaveLength(refused);
      expect(log.warnings.filter(({ code }) => code === "identity/expired")).toEqual([]);
    } finally {
      await inlet.close(AbortSignal.abort());
      await outlet.close();
      await server.close(AbortSignal.abort());
    }
  });
});

describe("a control plane that has forgotten everything", () => {
  it("believes nobody who was started before the driver's last start of the instance", async () => {
    world = await IdentityWorld.create();
    await world.apply(source, sink);
    const before = await joined("k");
    const now = await joined("k");
    await world.stopControlPlane();
    await world.forgetEverything();
    await world.startControlPlane();
    expect(await call(dial(world.address, before), renew)).toMatchObject({
      status: "UNAUTHENTICATED",
      code: "identity/superseded",
    });
    expect((await call(dial(world.address, now), renew)).status).toBe("OK");
    expect((await call(dial(world.address, before), renew)).code).toBe("identity/superseded");
  });
});

/** Passes bytes on to `address`, and numbers the connections as they come. */
async function proxy(address: string) {
  const sockets: Socket[] = [];
  const closed = new Set<number>();
  const [host = "", port] = address.split(":");
  const server = createServer((socket) => {
    const number = sockets.push(socket) - 1;
    const onward = connectTcp(Number(port), host);
    socket.pipe(onward).pipe(socket);
    for (const [one, other] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      one.on("error", () => undefined);
      one.on("close", () => {
        closed.add(number);
        other.destroy();
      });
    }
  });
  const own = await freePort();
  await new Promise<void>((resolve) => server.listen(own, "127.0.0.1", resolve));
  return {
    address: `127.0.0.1:${own}`,
    closed,
    get count() {
      return sockets.length;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Emits numbers until it is enough, one each millisecond at most. */
function endless(enough: () => boolean): ComponentDefinition {
  return defineSource<unknown, number>({
    name: "endless",
    version: "1",
    config: anything,
    open: ({ position = 0, signal }) => ({
      async run(emit) {
        for (let n = position + 1; !enough() && !signal.aborted; n++) {
          await emit({ type: "number", json: { n } }, n);
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
      },
    }),
  });
}

async function stateOf(component: string): Promise<string> {
  return (await world.operator.getComponentStatus(component, soon())).state;
}

function recordingLog() {
  const said: { readonly level: string; readonly message: string; readonly code: unknown }[] = [];
  const at =
    (level: string) =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}) =>
      void said.push({ level, message, code: fields.code });
  return {
    logger: { debugging: true, debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") },
    count: (message: string) => said.filter((one) => one.message === message).length,
    get codes() {
      return said.map(({ code }) => code);
    },
    get warnings() {
      return said.filter(({ level }) => level === "warn" || level === "error");
    },
  };
}

import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Client } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { joinPipeline } from "../../src/client/registry-client.ts";
import { componentSpec } from "../../src/control-plane/pipeline.fake.ts";
import { type IssuedCertificate, identityOf } from "../../src/identity/authority.ts";
import { instanceName, testAuthority, testIdentity, testSource } from "../../src/identity/identity.fake.ts";
import { readJoining } from "../../src/identity/joining-files.ts";
import type { Name } from "../../src/identity/names.ts";
import { CALLER_ROLES, PERMISSIONS } from "../../src/identity/permissions.ts";
import { changingIdentity, type IdentitySource } from "../../src/identity/tls-identity.ts";
import type { MessageType } from "../../src/protocol/message-type.ts";
import { componentRegistry } from "../../src/protocol/registry-messages.ts";
import { encodeRequest, SUBSCRIBE_PATH } from "../../src/protocol/stream-codec.ts";
import { defineProcessor, defineSource, type Event } from "../../src/sdk/index.ts";
import { type Answer, call, dial, hangUp } from "./identity-calls.ts";
import { IdentityWorld, operatorName, soon } from "./identity-world.ts";
import { anything, collect, numbers, numbersOf, oneTo, until } from "./sdk-components.ts";

let world: IdentityWorld;

beforeEach(async () => {
  world = await IdentityWorld.create();
});

afterEach(async () => {
  hangUp();
  await world.dispose();
});

const joiningName = (component: string) => instanceName(component, "joining");
const linear = [
  componentSpec({ id: "s", type: "source" }),
  componentSpec({ id: "p1", type: "processor" }, "s"),
  componentSpec({ id: "k", type: "sink" }, "p1"),
];
const same = defineProcessor({
  name: "same",
  version: "1",
  config: anything,
  open: () => ({ process: (event, emit) => emit({ json: event.json() }) }),
});

/** A working certificate of an instance that has joined. */
async function joined(component: string): Promise<IdentitySource> {
  const { working } = await join_(await world.identity.begin(component, `${component}-1`), component);
  return changingIdentity(instanceName(component), identityOf(world.identity.authority, working));
}

function join_(joining: IssuedCertificate, component: string) {
  const source = changingIdentity(joiningName(component), identityOf(world.identity.authority, joining));
  return joinPipeline(world.address, source, soon());
}

const sourceOf = (component: string, issued: IssuedCertificate): IdentitySource =>
  changingIdentity(instanceName(component), identityOf(world.identity.authority, issued));

const about = (component: string, instance = `${component}-1`) => ({
  pipeline: "p",
  componentId: component,
  instanceId: instance,
  incarnation: "1",
});

describe("the control plane", () => {
  it("permits each role what the table says, and nothing else", async () => {
    await world.apply(...linear);
    const reader = await world.granted("reader");
    // Not the owner's, which one of the calls makes void.
    const operator = await world.granted("operator");
    const roles = { operator, reader, component: await joined("p1") };
    const found: string[] = [];
    const expected: string[] = [];
    for (const [path, row] of Object.entries(PERMISSIONS)) {
      for (const role of CALLER_ROLES) {
        const joining = await testSource(world.identity.authority, joiningName("p1"));
        // A joining certificate is spent by what it is permitted.
        const identity = role === "joining" ? joining : roles[role];
        // WatchEvents, of which only what there is; no other request has this field as a number.
        const request = path.endsWith("/WatchEvents") ? Buffer.from([0x10, 1]) : Buffer.alloc(0);
        const { code, status: answered } = await call(dial(world.address, identity), path, request);
        const isDenied = code === "identity/not-permitted";
        expect([path, role, code]).not.toEqual([path, role, "identity/revoked"]);
        expect([path, role, answered]).toEqual([path, role, isDenied ? "PERMISSION_DENIED" : expect.any(String)]);
        // Whatever the handler thinks of it: it was asked.
        if (answered === "UNAVAILABLE") expect(code).not.toBe("");
        found.push(`${role} ${path}: ${isDenied ? "no" : "yes"}`);
        expected.push(`${role} ${path}: ${row[role] === "no" ? "no" : "yes"}`);
      }
    }
    expect(found).toEqual(expected);
  });

  const rpcs = {
    RegisterComponent: componentRegistry.registerComponent,
    Heartbeat: componentRegistry.heartbeat,
    DeregisterComponent: componentRegistry.deregisterComponent,
    WatchTopology: componentRegistry.watchTopology,
    SaveCheckpoint: componentRegistry.saveCheckpoint,
    GetComponentStatus: componentRegistry.getComponentStatus,
  } as const;

  it.each(Object.entries(rpcs))(
    "lets an instance do %s for itself alone, and names both otherwise",
    async (name, rpc) => {
      await world.apply(...linear);
      const client = dial(world.address, await joined("p1"));
      const encode = (request: object): Buffer => (rpc.request as MessageType<object>).encode(request);
      expect(await call(client, rpc.path, encode(about("k")))).toMatchObject({
        status: "PERMISSION_DENIED",
        code: "identity/not-itself",
        message: expect.stringMatching(
          /^the certificate is that of instance p1-1 of p1, and the request is about .*k$/,
        ),
      });
      if (name !== "GetComponentStatus") {
        expect((await call(client, rpc.path, encode(about("p1", "p1-2")))).code).toBe("identity/not-itself");
      }
      const own = await call(client, rpc.path, encode({ ...about("p1"), type: "COMPONENT_TYPE_PROCESSOR" }));
      expect(own.status).not.toBe("PERMISSION_DENIED");
      expect(own.code).not.toMatch(/^identity/);
    },
  );

  it("answers nobody in the clear, and nobody of another pipeline or another authority", async () => {
    const heartbeat = componentRegistry.heartbeat.path;
    expect((await call(dial(world.address, undefined), heartbeat)).status).toBe("UNAVAILABLE");
    const foreign = await testAuthority("p");
    const stranger = {
      ...(await testIdentity(foreign, operatorName)),
      ca: Buffer.from(world.identity.authority.certificate),
    };
    expect((await call(dial(world.address, changingIdentity(operatorName, stranger)), heartbeat)).status).toBe(
      "UNAVAILABLE",
    );
    const q = await testSource(world.identity.authority, { role: "operator", pipeline: "q" });
    expect(await call(dial(world.address, q), heartbeat)).toMatchObject({
      status: "UNAUTHENTICATED",
      code: "identity/unauthenticated",
    });
  });
});

describe("a joining certificate", () => {
  it("that was stolen and used opens nothing to whoever comes second, and that is told", async () => {
    await world.apply(...linear);
    const joining = await world.identity.begin("p1", "p1-1");
    const thief = await join_(joining, "p1");
    const client = dial(world.address, sourceOf("p1", thief.working));
    await call(client, componentRegistry.heartbeat.path, componentRegistry.heartbeat.request.encode(about("p1")));
    await expect(join_(joining, "p1")).rejects.toMatchObject({ code: "identity/used", kind: "unauthenticated" });
  });

  it("is answered again while nothing of the answer was used, and the answer before is void", async () => {
    const joining = await world.identity.begin("p1", "p1-1");
    const lost = await join_(joining, "p1");
    const { working, next } = await join_(joining, "p1");
    const renew = componentRegistry.renew.path;
    expect(await call(dial(world.address, sourceOf("p1", lost.working)), renew)).toMatchObject({
      status: "UNAUTHENTICATED",
      code: "identity/superseded",
    });
    await expect(join_(lost.next, "p1")).rejects.toMatchObject({ code: "identity/used" });
    expect((await call(dial(world.address, sourceOf("p1", working)), renew)).status).toBe("OK");
    await join_(next, "p1");
    expect((await call(dial(world.address, sourceOf("p1", working)), renew)).code).toBe("identity/superseded");
  });

  it("stays used when the control plane is started again", async () => {
    const joining = await world.identity.begin("p1", "p1-1");
    const { next } = await join_(joining, "p1");
    await join_(next, "p1");
    await world.stopControlPlane();
    await world.startControlPlane();
    await expect(join_(joining, "p1")).rejects.toMatchObject({ code: "identity/used" });
  });

  it("of an earlier start opens nothing, though nobody has used it", async () => {
    const early = await world.identity.begin("p1", "p1-1");
    const late = await world.identity.begin("p1", "p1-1");
    await expect(join_(early, "p1")).rejects.toMatchObject({ code: "identity/superseded" });
    await join_(late, "p1");
  });
});

describe("components with an identity", () => {
  it("run a pipeline to its end, and keep what they join with the next time", async () => {
    await world.apply(...linear);
    const got: Event[] = [];
    const parts = [
      await world.start("s", numbers(2000)),
      await world.start("p1", same),
      await world.start("k", collect(got)),
    ];
    const given = await Promise.all(parts.map(({ files }) => world.identity.started(...idsOf(files.key))));
    expect(await Promise.all(parts.map(({ outcome }) => outcome))).toEqual(["completed", "completed", "completed"]);
    expect(numbersOf(got)).toEqual(oneTo(2000));
    expect(new Set(given).size).toBe(3);
    for (const { files } of parts) {
      const [, id] = idsOf(files.key);
      const next = await readJoining(files);
      const source = changingIdentity(joiningName(id.replace(/-1$/, "")), next);
      expect((await joinPipeline(world.address, source, soon())).next.certificate).toContain("BEGIN CERTIFICATE");
    }
  });

  it("join again with what they kept when their engine starts them again, as often as it does", async () => {
    await world.apply(componentSpec({ id: "s", type: "source" }));
    const idle = defineSource<unknown, number>({
      name: "idle",
      version: "1",
      config: anything,
      open: ({ signal }) => ({
        run: () => new Promise((resolve) => signal.addEventListener("abort", () => resolve())),
      }),
    });
    const files = await world.begin("s");
    const first = await readFile(files.key, "utf8");
    for (let round = 1; round <= 3; round++) {
      const run = await world.start("s", idle, { files });
      await until(async () => (await stateOf("s")) === "healthy");
      run.stop();
      expect(await run.outcome).toBe("stopped");
    }
    // What it was started with first is of no use any more.
    await writeFile(files.key, first);
    await expect((await world.start("s", idle, { files })).outcome).rejects.toMatchObject({ code: "identity/used" });
  });

  it("do not run under the name of another one", async () => {
    await world.apply(...linear);
    const files = await world.begin("s");
    await expect((await world.start("k", collect([]), { files })).outcome).rejects.toMatchObject({
      code: "identity/not-own",
      message: expect.stringMatching(/that of instance s-1 of s in pipeline p, and this is instance k-1 of k/),
    });
  });

  it("do not run when the files to join with cannot be read", async () => {
    await world.apply(...linear);
    const files = await world.begin("s");
    const gone = { ...files, key: join("/proc", "identity.pem") };
    await expect((await world.start("s", numbers(1), { files: gone })).outcome).rejects.toMatchObject({
      code: "identity/files",
    });
  });

  it("do not run when the files to join with cannot be replaced, and nothing of them is spent", async () => {
    await world.apply(componentSpec({ id: "s", type: "source" }));
    const files = await world.begin("s");
    // No name beside this one is short enough for a file system, whoever asks.
    const key = join(world.folder, "k".repeat(250));
    await copyFile(files.key, key);
    const run = await world.start("s", numbers(1), { files: { ...files, certificate: key, key } });
    await expect(run.outcome).rejects.toMatchObject({ code: "identity/not-written" });
    expect(await readFile(key, "utf8")).toBe(await readFile(files.key, "utf8"));
    expect(await (await world.start("s", numbers(1), { files })).outcome).toBe("completed");
  });

  it("end when another program has joined in their place", async () => {
    await world.apply(componentSpec({ id: "s", type: "source" }));
    const idle = defineSource<unknown, number>({
      name: "idle",
      version: "1",
      config: anything,
      open: ({ signal }) => ({
        run: () => new Promise((resolve) => signal.addEventListener("abort", () => resolve())),
      }),
    });
    const run = await world.start("s", idle);
    await until(async () => (await stateOf("s")) === "healthy");
    await join_(await world.identity.begin("s", "s-1"), "s");
    await expect(run.outcome).rejects.toMatchObject({ code: "identity/superseded" });
  });

  it("take dead letters that are replayed from the control plane, by its certificate", async () => {
    await world.apply(componentSpec({ id: "s", type: "source" }), componentSpec({ id: "k", type: "sink" }, "s"));
    const idle = defineSource<unknown, number>({
      name: "idle",
      version: "1",
      config: anything,
      open: ({ signal }) => ({
        run: () => new Promise((resolve) => signal.addEventListener("abort", () => resolve())),
      }),
    });
    const got: Event[] = [];
    await world.start("s", idle);
    await world.start("k", collect(got));
    await until(async () => (await stateOf("k")) === "healthy");
    async function* events() {
      const nothing = { metadata: {}, timestamp: undefined, contentType: "application/json" };
      yield { ...nothing, id: "one", type: "number", payload: Buffer.from('{"n":1}'), sourceComponentId: "s" };
    }
    for await (const _ of world.operator.replayEvents("k", events(), soon())) {
      // Until all are acknowledged.
    }
    expect(numbersOf(got)).toEqual([1]);
  });
});

describe("a stream", () => {
  const endless = defineSource<unknown, number>({
    name: "waiting",
    version: "1",
    config: anything,
    open: ({ signal }) => ({
      async run(emit) {
        await emit({ type: "number", json: { n: 1 } }, 1);
        await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      },
    }),
  });
  const up = instanceName("s");

  function open(client: Client, group: string, instanceId = `${group}-1`): Promise<Answer> {
    const credit = { maxSequence: 1, maxBytes: 1_000 };
    const request = { pipeline: "p", group, instanceId, types: [], credit, upstreamInstance: "s-1" };
    return call(client, SUBSCRIBE_PATH, encodeRequest({ kind: "open", open: request }));
  }

  async function served(): Promise<string> {
    await world.apply(
      componentSpec({ id: "s", type: "source" }),
      componentSpec({ id: "k", type: "sink" }, "s"),
      componentSpec({ id: "other", type: "source" }),
    );
    const { port } = await world.start("s", endless);
    await until(async () => (await stateOf("s")) === "healthy");
    return `127.0.0.1:${port}`;
  }

  it("is served to an instance below, under its own name alone", async () => {
    const address = await served();
    const k = await testSource(world.identity.authority, instanceName("k"));
    expect(await open(dial(address, k, up), "k")).toEqual({ status: "OK", code: "", message: "" });
    for (const [group, instance] of [
      ["k", "k-2"],
      ["other", "other-1"],
      ["other", "k-1"],
    ] as const) {
      expect(await open(dial(address, k, up), group, instance)).toMatchObject({
        status: "PERMISSION_DENIED",
        code: "identity/not-itself",
        message: `the certificate is that of instance k-1 of k, and the request is about instance ${instance} of ${group}`,
      });
    }
  });

  it("is not served to a component that is not below, to an operator or to who has not joined", async () => {
    const address = await served();
    const as = async (name: Name): Promise<Client> =>
      dial(address, await testSource(world.identity.authority, name), up);
    expect((await open(await as(instanceName("other")), "other")).code).toBe("stream/unknown-group");
    for (const name of [operatorName, joiningName("k"), { role: "reader", pipeline: "p" } as const]) {
      expect(await open(await as(name), "k")).toMatchObject({
        status: "PERMISSION_DENIED",
        code: "identity/not-permitted",
      });
    }
  });

  it("is served to nobody in the clear or of another authority", async () => {
    const address = await served();
    const foreign = await testIdentity(await testAuthority(), instanceName("k"));
    const stranger = { ...foreign, ca: Buffer.from(world.identity.authority.certificate) };
    expect((await open(dial(address, undefined, up), "k")).status).toBe("UNAVAILABLE");
    expect((await open(dial(address, changingIdentity(instanceName("k"), stranger), up), "k")).status).toBe(
      "UNAVAILABLE",
    );
  });
});

/** Component and instance by the name of its file. */
function idsOf(path: string): [component: string, instance: string] {
  const instance = path.slice(path.lastIndexOf("/") + 1, -".pem".length);
  return [instance.replace(/-1$/, ""), instance];
}

async function stateOf(component: string): Promise<string> {
  return (await world.operator.getComponentStatus(component, soon())).state;
}

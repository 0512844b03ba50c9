import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { connect as dial } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { hasCode } from "../../../foundation/errors.ts";
import { messageType } from "../../../protocol/message-type.ts";
import { type Method, method } from "../../../protocol/service-methods.ts";
import type { Change, ObservedResource } from "../../driver.ts";
import { openChannel } from "../../socket-channel.ts";
import { connectEngine } from "../engine/engine.ts";
import { FakeEngine, labelsOf } from "./engine-access.fake.ts";
import { createEngineAccess } from "./engine-access.ts";
import { type EngineAccessDriver, engineAccessDriver, NO_ENGINE_ACCESS } from "./engine-access-client.ts";
import { type applyRequest, engineAccessService } from "./engine-access-messages.ts";
import { type EngineAccessServer, serveEngineAccess } from "./engine-access-server.ts";

const never = new AbortController().signal;
const context = { pipeline: "p", signal: never, progress: () => undefined };
let folder = "";
let engine: FakeEngine;
let server: EngineAccessServer;
let driver: EngineAccessDriver;
const socket = (): string => join(folder, "access", "grpc.sock");

const containers = () => [
  { id: "a1", labels: labelsOf("p", "component/a-1") },
  { id: "ended", labels: labelsOf("p", "component/b-1"), running: false },
  { id: "db", labels: labelsOf("p", "service/db-1") },
  { id: "cp", labels: labelsOf("p", "control-plane/1") },
  { id: "access", labels: labelsOf("p", "engine-access/1") },
  { id: "theirs", labels: labelsOf("other", "component/c-1") },
  { id: "nobodys", labels: {} },
];

async function serve(): Promise<void> {
  const connected = await connectEngine({ DOCKER_HOST: `unix://${join(folder, "engine.sock")}` });
  server = await serveEngineAccess(socket(), createEngineAccess(connected, "p"));
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "flowctl-access-"));
  engine = new FakeEngine(containers());
  await engine.listen(join(folder, "engine.sock"));
  await serve();
  driver = engineAccessDriver(socket());
});
afterEach(async () => {
  driver.close();
  await server.close();
  engine.close();
  rmSync(folder, { recursive: true, force: true });
});

/** The change as a control plane would ask for it. */
function change(action: "start" | "stop" | "restart", key: string, more: Partial<ObservedResource> = {}): Change {
  const [kind = "", rest = ""] = key.split("/");
  const dash = rest.lastIndexOf("-");
  const observed = { kind, owner: rest.slice(0, dash), index: Number(rest.slice(dash + 1)), ...more };
  return { action, observed: { ...observed, key } as ObservedResource, cause: "" };
}

describe("the engine access of a pipeline", () => {
  it("shows the containers of the pipeline alone, and of those what runs for it", async () => {
    const observed = await driver.observe("other", never);
    expect(observed.map(({ key, state }) => `${key} ${state.status}`)).toEqual([
      "component/a-1 running",
      "component/b-1 exited",
      "service/db-1 running",
      "control-plane/1 running",
    ]);
    expect(observed[1]?.state).toEqual({
      ...{ status: "exited", exitCode: 3, oomKilled: false, restarts: 0 },
      finishedAt: Date.parse("2026-01-01T00:00:02Z"),
    });
    expect(observed[2]?.policy).toEqual({ maxRestarts: 0 });
  });

  it("starts, stops and restarts them", async () => {
    await driver.apply(change("start", "component/b-1"), context);
    expect(engine.changes).toContain("POST /containers/ended/start");
    await driver.apply(change("stop", "service/db-1"), context);
    expect(engine.changes).toContain("POST /containers/db/stop");
    await driver.apply(change("restart", "component/a-1"), context);
    expect(engine.changes).toContain("POST /containers/a1/restart");
  });

  it("connects the control plane to its network again by starting it, and does nothing else to it", async () => {
    const self = change("start", "control-plane/1", { owner: "control-plane", index: 1 });
    await driver.apply(self, context);
    for (const action of ["stop", "restart"] as const) {
      await expect(driver.apply({ ...self, action } as Change, context)).rejects.toMatchObject({
        code: "docker/bad-request",
      });
    }
    expect(engine.changes.filter((line) => !line.endsWith("pause"))).toEqual(["POST /containers/cp/start"]);
  });

  it("says what one of them logged last", async () => {
    const read = async (id: string): Promise<string[]> => {
      const lines: string[] = [];
      for await (const { text } of driver.logs("p", { select: [id], follow: false, tail: 1 }, never)) lines.push(text);
      return lines;
    };
    expect(await read("a-1")).toEqual(["said"]);
    expect(await read("c-1")).toEqual([]);
  });

  it.each(["component/c-1", "component/a-2", "service/a-1", "engine-access/1", "network/default"])(
    "changes nothing for %s, which is no container of the pipeline, or none to be changed",
    async (key) => {
      for (const action of ["start", "stop", "restart"] as const) {
        await expect(driver.apply(change(action, key), context)).rejects.toThrow();
      }
      expect(engine.changes).toEqual([]);
    },
  );

  it("trusts the labels of a container alone, not what the engine lists it for", async () => {
    const listed = labelsOf("p", "component/z-1");
    engine.containers.push({ id: "z", labels: listed });
    const [labels] = [engine.containers.at(-1)?.labels as Record<string, string>];
    const asked = engine.asked.length;
    const list = engine.containers.at(-1);
    // Between the list and the look it has become somebody else's.
    Object.defineProperty(list, "labels", {
      get: () => (engine.asked.slice(asked).some((line) => line.endsWith("/z/json")) ? labelsOf("other", "x") : labels),
    });
    await expect(driver.apply(change("stop", "component/z-1"), context)).rejects.toMatchObject({
      code: "docker/not-found",
    });
    expect(engine.changes).toEqual([]);
  });
});

describe("a request to the engine access", () => {
  const raw = openRaw();

  it.each(["create", "replace", "remove"] as const)("cannot %s anything", async (action) => {
    const asked = { ...change("start", "component/a-1"), action } as unknown as Change;
    await expect(driver.apply(asked, context)).rejects.toMatchObject({ code: "docker/bad-request" });
    expect(engine.asked).toEqual([]);
  });

  it.each([
    ["another action", { action: "9", instance: { kind: "KIND_COMPONENT", owner: "a", index: 1 } }],
    ["no instance", { action: "ACTION_STOP", instance: null }],
    ["an unknown kind", { action: "ACTION_STOP", instance: { kind: "7", owner: "a", index: 1 } }],
    ["a path for an owner", { action: "ACTION_STOP", instance: { kind: "KIND_COMPONENT", owner: "../a1", index: 1 } }],
    ["the id of a container", { action: "ACTION_STOP", instance: { kind: "KIND_COMPONENT", owner: "a1", index: 0 } }],
    ["a line end", { action: "ACTION_STOP", instance: { kind: "KIND_COMPONENT", owner: "a\n", index: 1 } }],
    ["a long owner", { action: "ACTION_STOP", instance: { kind: "KIND_COMPONENT", owner: "a".repeat(200), index: 1 } }],
    ["a large number", { action: "ACTION_STOP", instance: { kind: "KIND_COMPONENT", owner: "a", index: 4294967295 } }],
  ])("with %s is refused before the engine is asked", async (_, message) => {
    await expect(raw.apply(message as never)).rejects.toThrow(/Invalid request/);
    expect(engine.asked).toEqual([]);
  });

  it("that is too large, malformed or for no method is refused, and others are answered", async () => {
    await expect(raw.bytes("Apply", Buffer.alloc(8192))).rejects.toThrow(/larger than max/);
    await expect(raw.bytes("Apply", Buffer.from([0xff, 0xff, 0xff]))).rejects.toThrow();
    await expect(raw.bytes("Exec", Buffer.alloc(0))).rejects.toThrow(/does not implement/);
    await new Promise<void>((resolve) => {
      const broken = dial(socket(), () => broken.end("GET / HTTP/1.1\r\n\r\n"));
      broken.resume().once("close", () => resolve());
    });
    expect(engine.asked).toEqual([]);
    expect(await driver.observe("p", never)).toHaveLength(4);
  });

  it("waits for an earlier one about the same container, and too many are refused", async () => {
    let answer: () => void = () => undefined;
    const blocked = new Promise<void>((resolve) => {
      answer = resolve;
    });
    engine.onChange = (line) => (line.endsWith("/db/stop") ? blocked : undefined);
    const first = driver.apply(change("stop", "service/db-1"), context);
    await vi.waitUntil(() => engine.changes.includes("POST /containers/db/stop"));
    const others = Array.from({ length: 20 }, () => driver.apply(change("start", "service/db-1"), context));
    const settled = Promise.allSettled(others);
    await expect(Promise.race(others)).rejects.toMatchObject({ code: "docker/busy" });
    await driver.apply(change("restart", "component/a-1"), context);
    expect(engine.changes).not.toContain("POST /containers/db/start");
    answer();
    await first;
    const results = await settled;
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(4);
    expect(engine.changes.indexOf("POST /containers/db/start")).toBeGreaterThan(0);
  });

  it("is not carried out any more once nobody waits for it", async () => {
    let answer: () => void = () => undefined;
    const blocked = new Promise<void>((resolve) => {
      answer = resolve;
    });
    engine.onChange = (line) => (line.endsWith("/db/stop") ? blocked : undefined);
    const first = driver.apply(change("stop", "service/db-1"), context);
    await vi.waitUntil(() => engine.changes.includes("POST /containers/db/stop"));
    const gone = new AbortController();
    const second = driver.apply(change("start", "service/db-1"), { ...context, signal: gone.signal });
    // Answers come in the order of requests: each time the one before has arrived.
    await driver.observe("p", never);
    gone.abort();
    await expect(second).rejects.toMatchObject({ kind: "cancelled" });
    await driver.observe("p", never);
    answer();
    await first;
    await driver.apply(change("restart", "service/db-1"), context);
    expect(engine.changes).toContain("POST /containers/db/restart");
    expect(engine.changes).not.toContain("POST /containers/db/start");
  });

  it("for events is one of a few", async () => {
    const over = new AbortController();
    const follow = async (): Promise<string> => {
      try {
        for await (const _ of driver.events("p", over.signal));
        return "ended";
      } catch (error) {
        return hasCode(error, "docker/busy") ? "refused" : String(error);
      }
    };
    const all = Array.from({ length: 10 }, follow);
    const refused: string[] = [];
    for (const one of all) void one.then((how) => refused.push(how));
    await vi.waitUntil(() => refused.length === 6);
    expect(refused).toEqual(Array(6).fill("refused"));
    over.abort();
    expect((await Promise.all(all)).filter((how) => how === "ended")).toHaveLength(4);
    // Whoever went makes room.
    const again = new AbortController();
    const asked = () => engine.asked.filter((line) => line === "GET /events").length;
    await vi.waitUntil(async () => {
      void (async () => {
        for await (const _ of driver.events("p", again.signal));
      })().catch(() => undefined);
      return asked() > 4;
    });
    again.abort();
  });

  /** Requests that no honest control plane sends. */
  function openRaw() {
    const bytes = (name: string, content: Buffer): Promise<unknown> => {
      const plain = { ...messageType("x", {}), encode: () => content };
      return once(method(`/flowctl.engineaccess.v1.EngineAccess/${name}`, plain, messageType("y", {})), {});
    };
    const once = async <Q, R>(of: Method<Q, R>, message: Partial<Q>): Promise<R> => {
      const channel = openChannel(socket());
      try {
        return await channel.unary(of, message, never);
      } finally {
        channel.close();
      }
    };
    return {
      bytes,
      apply: (message: Parameters<typeof applyRequest.encode>[0]) => once(engineAccessService.apply, message),
    };
  }
});

describe("an engine access that goes and comes", () => {
  it("is said to be away, and answers again on the same connection", async () => {
    expect(await driver.observe("p", never)).toHaveLength(4);
    await server.close();
    await expect(driver.observe("p", never)).rejects.toMatchObject({ code: NO_ENGINE_ACCESS });
    await serve();
    await vi.waitUntil(async () => (await driver.observe("p", never).catch(() => [])).length === 4, {
      timeout: 10_000,
    });
  });

  it("takes the place of whatever lies where its socket is to be, and lets its user alone open that", async () => {
    await server.close();
    const other = join(folder, "other");
    writeFileSync(other, "stays");
    rmSync(socket(), { force: true });
    symlinkSync(other, socket());
    await serve();
    expect(statSync(other).isFile()).toBe(true);
    expect(statSync(socket()).isSocket()).toBe(true);
    expect(statSync(socket()).mode & 0o777).toBe(0o600);
  });

  it("passes on that the engine does not answer", async () => {
    engine.close();
    await expect(driver.observe("p", never)).rejects.toMatchObject({ code: "docker/unreachable" });
  });
});

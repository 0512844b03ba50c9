import { chmodSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../../foundation/clock.ts";
import { FlowctlError } from "../../../foundation/errors.ts";
import { driverEvents } from "../events.ts";
import { request } from "./supervisor-client.ts";
import { type RequestHandler, type SupervisorServer, serveSupervisor } from "./supervisor-server.ts";

let folder = "";
let server: SupervisorServer | undefined;
const never = new AbortController().signal;
const socket = (): string => join(folder, "s.sock");
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "flowctl-socket-"));
});
afterEach(async () => {
  await server?.close();
  server = undefined;
  rmSync(folder, { recursive: true, force: true });
});
const serve = async (handle: RequestHandler): Promise<void> => {
  server = await serveSupervisor(socket(), handle);
};

describe("a request", () => {
  test("gets its progress, then its result", async () => {
    await serve(async (body, reply) => {
      reply({ type: "progress", progress: { subject: "x", status: "working", text: "Doing" } });
      return { asked: body.method };
    });
    const told: string[] = [];
    const progress = ({ text }: { text: string }): void => void told.push(text);
    expect(await request(socket(), { method: "hello" }, { signal: never, progress })).toEqual({ asked: "hello" });
    expect(told).toEqual(["Doing"]);
  });

  test("gets the error that the supervisor threw, with code, kind and fix", async () => {
    await serve(async () => {
      throw new FlowctlError({ code: "process/spawn-failed", kind: "unavailable", message: "no", fix: "do" });
    });
    await expect(request(socket(), { method: "hello" }, { signal: never })).rejects.toMatchObject({
      code: "process/spawn-failed",
      kind: "unavailable",
      message: "no",
      fix: "do",
    });
  });

  test("says so when there is no supervisor", async () => {
    await expect(request(socket(), { method: "hello" }, { signal: never })).rejects.toMatchObject({
      code: "process/no-supervisor",
    });
  });

  test("ends at its deadline when the supervisor hangs", async () => {
    await serve(() => new Promise(() => undefined));
    await expect(request(socket(), { method: "hello" }, { signal: never, deadlineMs: 50 })).rejects.toMatchObject({
      code: "process/supervisor-lost",
    });
  });

  test("fails when the supervisor goes away in the middle of it", async () => {
    await serve(() => new Promise(() => void setImmediate(() => void server?.close())));
    await expect(request(socket(), { method: "hello" }, { signal: never })).rejects.toMatchObject({
      code: "process/supervisor-lost",
    });
  });

  test("that is given up is cancelled on the other side too", async () => {
    const stop = new AbortController();
    let cancelled: Promise<void> | undefined;
    await serve((_body, _reply, signal) => {
      cancelled = new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
      stop.abort();
      return new Promise(() => undefined);
    });
    await expect(request(socket(), { method: "hello" }, { signal: stop.signal })).rejects.toMatchObject({
      kind: "cancelled",
    });
    await cancelled;
  });

  test("is understood however its bytes arrive", async () => {
    await serve(async (body) => ({ asked: body.method, text: "ä😀" }));
    const answer = await new Promise<string>((resolve, reject) => {
      const client = connect(socket());
      let text = "";
      client.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      client.once("end", () => resolve(text)).once("error", reject);
      const bytes = Buffer.from(`${JSON.stringify({ v: 1, method: "hello" })}\n`);
      void (async () => {
        for (const byte of bytes) await new Promise((sent) => client.write(Buffer.from([byte]), sent));
      })();
    });
    expect(JSON.parse(answer)).toEqual({ type: "done", result: { asked: "hello", text: "ä😀" } });
  });

  test("of another version of the protocol is refused with what to do", async () => {
    await serve(async () => undefined);
    const answer = await new Promise<string>((resolve, reject) => {
      const client = connect(socket(), () => client.write('{"v":99,"method":"hello"}\n'));
      client.once("data", (data) => resolve(String(data))).once("error", reject);
    });
    expect(JSON.parse(answer)).toMatchObject({ type: "error", error: { code: "process/protocol-mismatch" } });
  });
});

test("only the user may open the socket, and one that a dead supervisor left is no hindrance", async () => {
  await serve(async () => undefined);
  expect(statSync(socket()).mode & 0o777).toBe(0o600);
  const second = await serveSupervisor(socket(), async () => "second");
  expect(await request(socket(), { method: "hello" }, { signal: never })).toBe("second");
  await second.close();
});

test("a socket under /tmp is used only in a folder that is the user's alone", async () => {
  const shared = mkdtempSync("/tmp/flowctl-shared-");
  const path = join(shared, "s.sock");
  const own = await serveSupervisor(path, async () => "own");
  expect(await request(path, { method: "hello" }, { signal: never })).toBe("own");
  chmodSync(shared, 0o777);
  const refused = { code: "process/socket-not-private", kind: "denied" };
  await expect(request(path, { method: "hello" }, { signal: never })).rejects.toMatchObject(refused);
  await expect(serveSupervisor(path, async () => "other")).rejects.toMatchObject(refused);
  await own.close();
  rmSync(shared, { recursive: true });
});

test("events wait for a supervisor, and end quietly when their signal fires", async () => {
  const stop = new AbortController();
  const events = driverEvents(socket(), systemClock, stop.signal)[Symbol.asyncIterator]();
  const first = events.next();
  const event = { type: "started", key: "component/a-1", time: 1 } as const;
  await serve(async (_body, reply) => {
    reply({ type: "event", event });
    await new Promise(() => undefined);
  });
  expect((await first).value).toEqual(event);
  const rest = events.next();
  stop.abort();
  expect((await rest).done).toBe(true);
});

test("events fail when the connection breaks", async () => {
  await serve(async (_body, reply) => {
    reply({ type: "event", event: { type: "started", key: "component/a-1", time: 1 } });
    await new Promise(() => undefined);
  });
  const events = driverEvents(socket(), systemClock, never)[Symbol.asyncIterator]();
  await events.next();
  void server?.close();
  await expect(events.next()).rejects.toMatchObject({ code: "process/supervisor-lost" });
});

describe("what is no request", () => {
  const change = { action: "stop", observed: { key: "component/a-1", owner: "a", index: 1 }, cause: "test" };
  const apply = { method: "apply", change, force: false, secrets: {}, configs: {} };
  test.each([
    ["nothing", null],
    ["a number", 1],
    ["a list", []],
    ["an unknown method", { method: "toString" }],
    ["an end of nobody knows what", { method: "shutdown", instances: "all" }],
    ["an end without saying of what", { method: "shutdown" }],
    ["events since no number", { method: "events", since: "1" }],
    ["no change", { ...apply, change: null }],
    ["an unknown change", { ...apply, change: { ...change, action: "toString" } }],
    ["a change of nothing", { ...apply, change: { action: "stop", cause: "test" } }],
    [
      "a change of what is elsewhere",
      { ...apply, change: { ...change, observed: { key: "component/../x-1", owner: "../x", index: 1 } } },
    ],
    [
      "a change of one that is named otherwise",
      { ...apply, change: { ...change, observed: { key: "component/b-1", owner: "a", index: 1 } } },
    ],
    ["secrets that are no strings", { ...apply, secrets: { s: 1 } }],
  ])("is refused, and nothing is done: %s", async (_what, body) => {
    let handled = 0;
    await serve(async () => {
      handled++;
    });
    const frame = typeof body === "object" && body !== null && !Array.isArray(body) ? { ...body, v: 1 } : body;
    expect(await exchange(`${JSON.stringify(frame)}\n`)).toContain('"code":"process/bad-request"');
    expect(handled).toBe(0);
    await serveAnother();
  });

  test("is refused once it is longer than a line may be, and no more of it is kept", async () => {
    await serve(async () => undefined);
    const answer = await exchange(...Array<string>(66).fill(" ".repeat(1024 * 1024)));
    expect(answer).toContain('"code":"process/bad-request"');
  });

  async function serveAnother(): Promise<void> {
    await server?.close();
    await serve(async () => "well");
    expect(await request(socket(), { method: "hello" }, { signal: never })).toBe("well");
  }
});

/** What comes back for these pieces until the supervisor closes the connection. */
function exchange(...pieces: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const connection = connect(socket(), () => {
      for (const piece of pieces) connection.write(piece);
    });
    connection.setEncoding("utf8");
    connection.on("data", (chunk: string) => {
      answer += chunk;
    });
    connection.on("error", () => undefined);
    connection.once("close", () => resolve(answer));
  });
}

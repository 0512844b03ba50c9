import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock } from "../../../foundation/clock.ts";
import { type PipelinePaths, pipelinePaths } from "../home/paths.ts";
import { identify, isStopped } from "../instance/process-identity.ts";
import { createGreeting } from "./greeting.ts";
import { createSupervisorClient } from "./supervisor-client.ts";
import { writeSupervisorRecord } from "./supervisor-record.ts";
import { type SupervisorHello, type SupervisorServer, serveSupervisor } from "./supervisor-server.ts";

const never = new AbortController().signal;
const supervisors = createSupervisorClient();
let home = "";
let paths: PipelinePaths;
let server: SupervisorServer | undefined;

beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), "flowctl-greeting-"));
  paths = pipelinePaths(home, "demo");
  await mkdir(paths.folder, { recursive: true, mode: 0o700 });
});

afterEach(async () => {
  await server?.close();
  rmSync(home, { recursive: true, force: true });
});

const me = { version: "1.2.3", pid: process.pid, grpc: "127.0.0.1:1", http: "http://127.0.0.1:2", secure: true };

/** A supervisor that is this process as far as its record says, or another one. */
async function serve(pid: number, answer: () => Promise<SupervisorHello>): Promise<void> {
  let hello: () => Promise<SupervisorHello> = async () => me;
  const nothing = async (): Promise<void> => undefined;
  const events = async function* (): AsyncGenerator<never> {};
  server = await serveSupervisor(paths, { hello: () => hello(), events, apply: nothing, shutdown: nothing });
  await writeSupervisorRecord(paths, {
    ...{ version: 1, hash: "h", parts: {}, identity: identify(pid)!, startedAt: 1, ports: { grpc: 1, http: 2 } },
    spec: { kind: "control-plane", persistence: true, logLevel: "info", withheld: [] },
  });
  // Connected, and no part of what is measured.
  await supervisors.hello(paths, never, 20_000);
  hello = answer;
}

test("a supervisor that runs and is only slow does not hang", async () => {
  let asked = 0;
  await serve(process.pid, async () => {
    asked++;
    if (asked === 1) return new Promise(() => undefined);
    return me;
  });
  expect(await createGreeting(supervisors, systemClock, 200)(paths, never)).toEqual(me);
  expect(asked).toBe(2);
});

test("one that runs and stays silent hangs, and is not asked again a moment later", async () => {
  let asked = 0;
  await serve(process.pid, () => {
    asked++;
    return new Promise(() => undefined);
  });
  const greet = createGreeting(supervisors, systemClock, 200);
  await expect(greet(paths, never)).rejects.toMatchObject({ code: "process/supervisor-lost" });
  await expect(greet(paths, never)).rejects.toMatchObject({ message: expect.stringContaining("is not responding") });
  expect(asked).toBe(2);
});

test.runIf(process.platform === "linux")("one that is stopped is asked once", async () => {
  const child = spawn("sleep", ["600"]);
  try {
    await once(child, "spawn");
    child.kill("SIGSTOP");
    while (!isStopped(child.pid!)) await new Promise((resolve) => setImmediate(resolve));
    let asked = 0;
    await serve(child.pid!, () => {
      asked++;
      return new Promise(() => undefined);
    });
    await expect(createGreeting(supervisors, systemClock, 200)(paths, never)).rejects.toMatchObject({
      message: expect.stringContaining("is not responding"),
    });
    expect(asked).toBe(1);
  } finally {
    child.kill("SIGKILL");
  }
});

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connectControlPlane } from "../../src/client/control-plane-client.ts";
import { type ControlPlane, startControlPlane } from "../../src/control-plane/control-plane.ts";
import { createMemoryStore } from "../../src/control-plane/store/memory-store.ts";
import { systemClock } from "../../src/foundation/clock.ts";
import { silentLogger } from "../../src/foundation/logger.ts";
import { bundledProgram } from "../bundled-program.ts";

/** A component as a program of its own: how it ends, and what its last line says. */
let controlPlane: ControlPlane;
let folder: string;
let child: ChildProcess | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "flowctl-program-"));
  const onError = { action: "fail", to: "", retries: 0, backoffMs: 0 } as const;
  const common = { replicas: 1, consumes: [], produces: [], partitionBy: "", maxRestarts: 5, onError };
  controlPlane = await startControlPlane({
    pipeline: "p",
    grpcListen: "127.0.0.1:0",
    httpListen: "127.0.0.1:0",
    store: createMemoryStore(),
    clock: systemClock,
    log: silentLogger,
  });
  const client = connectControlPlane(controlPlane.grpcAddress);
  const components = [
    { id: "s", type: "source" as const, inputs: [], ...common },
    { id: "k", type: "sink" as const, inputs: [{ from: "s", types: [] }], ...common },
  ];
  await client.applyPipeline({ name: "p", driver: "process", components }, AbortSignal.timeout(5_000));
  client.close();
});

afterEach(async () => {
  child?.kill("SIGKILL");
  await controlPlane.close();
  await rm(folder, { recursive: true, force: true });
});

interface Ended {
  readonly code: number | null;
  readonly lines: readonly { readonly level: string; readonly msg: string; readonly code?: string; config?: unknown }[];
}

function start(
  config: unknown,
  more: Record<string, string> = {},
  file = "sdk-program.ts",
): { child: ChildProcess; saw(text: string): Promise<void>; ended: Promise<Ended> } {
  const program = bundledProgram(join(import.meta.dirname, "fixtures", file));
  const started = spawn(process.execPath, [program], {
    env: {
      ...process.env,
      FLOWCTL_CONTROL_PLANE: controlPlane.grpcAddress,
      FLOWCTL_PIPELINE: "p",
      FLOWCTL_COMPONENT_ID: "s",
      FLOWCTL_LISTEN: "127.0.0.1:0",
      FLOWCTL_HEALTH_PORT: "0",
      FLOWCTL_STATE_DIR: folder,
      FLOWCTL_CONFIG: JSON.stringify(config),
      ...more,
    },
    stdio: ["ignore", "inherit", "pipe"],
  });
  child = started;
  let text = "";
  started.stderr.on("data", (data: Buffer) => {
    text += data.toString();
  });
  const ended = once(started, "close").then(([code]) => ({
    code: code as number | null,
    lines: text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Ended["lines"][number]),
  }));
  return {
    child: started,
    ended,
    async saw(wanted) {
      while (!text.includes(wanted)) await new Promise((resolve) => setTimeout(resolve, 5));
    },
  };
}

describe("a component's program", () => {
  it("names every wrong value of its `with`, and exits 1", async () => {
    const { code, lines } = await start({ how: "sideways", what: 1 }).ended;
    expect(code).toBe(1);
    expect(lines.at(-1)).toMatchObject({ level: "error", code: "sdk/config" });
    expect(lines.at(-1)?.msg).toContain("with.how");
    expect(lines.at(-1)?.msg).toContain("what");
  });

  it("needs no `config` where it has no settings, and says of any that it takes none", async () => {
    const good = await start({}, {}, "no-config-program.ts").ended;
    expect(good.code).toBe(0);
    expect(good.lines).toContainEqual(expect.objectContaining({ msg: "opened", config: {} }));
    const { code, lines } = await start({ how: 1, what: 2 }, {}, "no-config-program.ts").ended;
    expect(code).toBe(1);
    expect(lines.at(-1)).toMatchObject({
      code: "sdk/config",
      msg: expect.stringMatching(/^with\.how: .*; with\.what: /),
    });
  });

  it("with a `config` that is no schema says so, and exits 1", async () => {
    const { code, lines } = await start({}, { BAD: "1" }, "no-config-program.ts").ended;
    expect(code).toBe(1);
    expect(lines.at(-1)).toMatchObject({ code: "sdk/definition", msg: expect.stringContaining("config") });
  });

  it("names the variable of the contract that is missing, and exits 1", async () => {
    const { code, lines } = await start({}, { FLOWCTL_PIPELINE: "" }).ended;
    expect(code).toBe(1);
    expect(lines.at(-1)).toMatchObject({ code: "sdk/environment", msg: expect.stringContaining("FLOWCTL_PIPELINE") });
  });

  it("says which type the file declares when it is another, and exits 1", async () => {
    const { code, lines } = await start({ how: "throws" }, { FLOWCTL_COMPONENT_TYPE: "sink" }).ended;
    expect(code).toBe(1);
    expect(lines.at(-1)).toMatchObject({ code: "sdk/wrong-type" });
  });

  it.each([
    ["throws", "the sensor is gone"],
    ["throws-for-a-reason", "fetch failed: connect ECONNREFUSED 127.0.0.1:2"],
    ["throws-later", "the timer failed"],
  ])("that %s ends with the reason as its last line, and exits 1", async (how, reason) => {
    const { code, lines } = await start({ how }).ended;
    expect(code).toBe(1);
    expect(lines.at(-1)).toMatchObject({ level: "error", msg: reason });
  });

  it("that does not return ends all the same within its grace period, and exits 0", async () => {
    const program = start({ how: "never-stops" }, { FLOWCTL_STOP_GRACE_MS: "1000" });
    await program.saw("running");
    program.child.kill("SIGTERM");
    expect((await program.ended).code).toBe(0);
  });

  it("ends at once at the second SIGTERM, and exits 1", async () => {
    const program = start({ how: "never-stops" }, { FLOWCTL_STOP_GRACE_MS: "600000" });
    await program.saw("running");
    program.child.kill("SIGTERM");
    // A signal that comes before the first was delivered is merged with it.
    const again = setInterval(() => program.child.kill("SIGTERM"), 50);
    const { code, lines } = await program.ended;
    clearInterval(again);
    expect(code).toBe(1);
    expect(lines.at(-1)).toMatchObject({ code: "sdk/ended" });
  });
});

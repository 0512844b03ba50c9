import { describe, expect, it } from "vitest";
import type { ObservedState } from "../../drivers/driver.ts";
import { MemoryDriver } from "../../drivers/memory-driver.fake.ts";
import { CliHarness } from "../cli-harness.fake.ts";

const FILE = `
name: demo
driver: docker
sources: { numbers: { uses: generator } }
sinks: { out: { uses: discard, inputs: [numbers], depends_on: [db] } }
services: { db: { image: "postgres:16" } }
`;

const running = { status: "running", startedAt: 0, restarts: 0 } as const;
const exited = { status: "exited", oomKilled: false, finishedAt: 0, restarts: 0 } as const;

async function upWith(
  state: ObservedState,
  timeout = "60",
): Promise<{ readonly code: number; readonly stderr: string }> {
  const driver = new MemoryDriver({
    name: "docker",
    startedState: ({ kind }) => (kind === "service" ? state : { ...running, health: "healthy" }),
    logs: [{ instance: "db-1", owner: "db", stream: "stderr", time: 1, text: "no space left" }],
  });
  await using cli = await CliHarness.create({ "flowctl.yaml": FILE }, [driver]);
  cli.speed = 10;
  return await cli.run("up", "--wait", "--timeout", timeout);
}

describe("up --wait with a service", () => {
  it.each([
    ["runs without a health check", { ...running, health: "none" }],
    ["passes its health check", { ...running, health: "healthy" }],
    ["has exited with 0", { ...exited, exitCode: 0 }],
  ] as const)("is done when it %s", async (_what, state) => {
    const { code, stderr } = await upWith(state);
    expect(code, stderr).toBe(0);
  });

  it("fails when it fails its health check, and shows what it said", async () => {
    const { code, stderr } = await upWith({ ...running, health: "unhealthy" });
    expect(code).toBe(1);
    expect(stderr).toContain("demo is not healthy: the service db fails its health check");
    expect(stderr).toContain("no space left");
  });

  it("fails when it has exited with another code", async () => {
    const { code, stderr } = await upWith({ ...exited, exitCode: 3 });
    expect(code).toBe(1);
    expect(stderr).toContain("exited with code 3");
  });

  it("gives up after --timeout when its check does not pass", async () => {
    const { code, stderr } = await upWith({ ...running, health: "starting" }, "1");
    expect(code).toBe(7);
    expect(stderr).toContain("demo was not healthy within 1.0s: the health check of db-1 has not passed yet");
  });
});

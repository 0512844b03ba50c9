import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";

const flowctl = resolve(import.meta.dirname, "../../dist/flowctl.js");
const fixture = resolve(import.meta.dirname, "fixtures/component.mjs");

function componentTest(...args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((done) => {
    const argv = [flowctl, "component", "test", ...args];
    execFile(process.execPath, argv, { env: { ...process.env, NO_COLOR: "1" } }, (error, stdout, stderr) =>
      done({ code: typeof error?.code === "number" ? error.code : error === null ? 0 : -1, stdout, stderr }),
    );
  });
}

describe("flowctl component test", () => {
  it("exits with 0 and shows what holds when the component keeps the contract", async () => {
    const { code, stdout, stderr } = await componentTest("--only", "ack/all", "--", "node", fixture, "sink");
    expect(code, stderr).toBe(0);
    expect(stdout).toContain("✓ acknowledges every event in the end  ack/all");
    expect(stdout).toContain("keeps the contract: 2 passed, 0 failed");
  });

  it("exits with 1 and says what was seen and what to do when it does not", async () => {
    const { code, stdout } = await componentTest("--only", "ack/all", "--", "node", fixture, "sink", "ack/all");
    expect(code).toBe(1);
    expect(stdout).toMatch(/✗ acknowledges every event in the end {2}ack\/all\n {4}it acknowledged 8 of 10 events/);
    expect(stdout).toContain("fix: Send Ack with the highest sequence number");
  });

  it("prints one JSON document for machines, and feeds the sample events of a file", async () => {
    const folder = await mkdtemp(join(tmpdir(), "flowctl-component-test-"));
    try {
      const events = join(folder, "events.jsonl");
      await writeFile(events, '{"type": "quake.v1", "json": {"mag": 5.1}}\n');
      const command = ["--", "node", fixture, "processor"];
      const { stdout } = await componentTest("--json", "--events", events, "--only", "publish/sends", ...command);
      expect(JSON.parse(stdout)).toMatchObject({
        type: "processor",
        conforms: true,
        checks: [
          { id: "publish/opened", outcome: "passed" },
          { id: "publish/sends", outcome: "passed" },
        ],
      });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

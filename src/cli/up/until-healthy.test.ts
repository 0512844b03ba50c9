import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { MemoryDriver } from "../../drivers/memory-driver.fake.ts";
import { resourceOf } from "../../planner/plan.ts";
import { CliHarness } from "../cli-harness.fake.ts";

const FILE = `
name: demo
sources: { numbers: { uses: generator } }
sinks: { out: { uses: discard, inputs: [numbers] } }
`;

it("up --wait shows what a component that failed logged last, also when it fails before the last step is done", async () => {
  const line = { instance: "out-1", owner: "out", stream: "stderr", time: 1, text: "no such table" } as const;
  const driver = new MemoryDriver({
    logs: [line],
    onApply: async (change) => {
      if (resourceOf(change).key !== "component/numbers-1") return;
      cli.controlPlane.state = "failed";
      cli.controlPlane.instanceStates.set("out-1", { state: "failed", reason: "exited with code 3" });
      const { record } = cli.controlPlane;
      let looks = 0;
      cli.controlPlane.record = () => {
        looks++;
        return record.call(cli.controlPlane);
      };
      await expect.poll(() => looks, { timeout: 10_000 }).toBeGreaterThan(0);
    },
  });
  await using cli = await CliHarness.create({ "flowctl.yaml": FILE }, [driver]);
  const { code, stderr } = await cli.run("up", "--wait", "--no-rollback");
  expect(code).toBe(1);
  expect(stderr).toContain("out-1 │ no such table\n");
  expect(stderr).toContain("error: demo failed: out-1 exited with code 3");
});

it("up --wait gives up a step that would wait for ever when the pipeline has failed", async () => {
  const driver = new MemoryDriver({
    name: "docker",
    // The components wait for it.
    startedState: ({ kind }) =>
      kind === "service" ? { status: "created" } : { status: "running", startedAt: 0, health: "healthy", restarts: 0 },
    onApply: (change) => {
      if (resourceOf(change).key === "service/db-1") cli.controlPlane.state = "failed";
    },
  });
  const file = `${FILE}services: { db: { image: "postgres:16" } }\n`;
  await using cli = await CliHarness.create({ "flowctl.yaml": file }, [driver]);
  const { code, stderr } = await cli.run("up", "--wait", "--no-rollback");
  expect(code).toBe(1);
  expect(stderr).toContain("error: demo failed");
  expect(driver.applied.filter((step) => step.includes("component/"))).toEqual([]);
}, 30_000);

/** A pipeline that runs, and an edit that replaces `out-1`. */
async function edited(driver: MemoryDriver): Promise<CliHarness> {
  const cli = await CliHarness.create({ "flowctl.yaml": FILE }, [driver]);
  expect((await cli.run("up", "--wait")).code).toBe(0);
  await writeFile(
    join(cli.folder, "flowctl.yaml"),
    FILE.replace("inputs: [numbers] }", "inputs: [numbers], environment: { A: b } }"),
  );
  return cli;
}

/** From the next look at the pipeline on it has failed, by `out-1`; resolves once that has been seen twice. */
async function failUntilSeen({ controlPlane }: CliHarness): Promise<void> {
  controlPlane.state = "failed";
  controlPlane.instanceStates.set("out-1", { state: "failed", reason: "exited with code 3" });
  const { record } = controlPlane;
  let looks = 0;
  controlPlane.record = () => {
    looks++;
    return record.call(controlPlane);
  };
  await expect.poll(() => looks, { timeout: 10_000 }).toBeGreaterThan(3);
}

function mend({ controlPlane }: CliHarness): void {
  controlPlane.state = "running";
  controlPlane.instanceStates.clear();
}

it("up --wait mends what fails after it was planned and before anything is changed", async () => {
  const driver = new MemoryDriver({});
  await using cli = await edited(driver);
  const client = cli.controlPlane.client.bind(cli.controlPlane);
  cli.controlPlane.client = () => {
    const all = client();
    return {
      ...all,
      applyPipeline: async (...args) => {
        await failUntilSeen(cli);
        mend(cli);
        return all.applyPipeline(...args);
      },
    };
  };
  const { code, stderr } = await cli.run("up", "--wait", "--no-rollback");
  expect(code, stderr).toBe(0);
});

it("up --wait mends what fails before its turn to be replaced comes", async () => {
  let isEdit = false;
  const driver = new MemoryDriver({
    onApply: async (change) => {
      if (!isEdit || resourceOf(change).key !== "component/out-1") return;
      await failUntilSeen(cli);
      mend(cli);
    },
  });
  await using cli = await edited(driver);
  isEdit = true;
  const { code, stderr } = await cli.run("up", "--wait", "--no-rollback");
  expect(code, stderr).toBe(0);
});

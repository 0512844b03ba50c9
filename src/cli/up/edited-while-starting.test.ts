import { rm } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { MemoryDriver } from "../../drivers/memory-driver.fake.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import { resourceOf } from "../../planner/plan.ts";
import { CliHarness } from "../cli-harness.fake.ts";

const FILE = `
name: demo
sources: { numbers: { uses: generator, env_file: [{ path: a.env, required: false }] } }
sinks: { out: { uses: discard, inputs: [numbers] } }
`;

const REPLACED = "replace component/numbers-1";

it("up --watch carries out an edit that was made while the pipeline was started for the first time", async () => {
  const applied: string[] = [];
  const driver = new MemoryDriver({
    onApply: async (change) => {
      const step = `${change.action} ${resourceOf(change).key}`;
      // What is gone has no time at which it was written.
      if (step === "create component/numbers-1") await rm(join(cli.folder, "a.env"));
      applied.push(step);
    },
  });
  await using cli = await CliHarness.create({ "flowctl.yaml": FILE, "a.env": "A=1" }, [driver]);
  const up = cli.run("up", "--watch");
  const end = Date.now() + 20_000;
  while (!applied.includes(REPLACED) && Date.now() < end) await new Promise((wake) => setTimeout(wake, 10));
  cli.first.abort(new FlowctlError({ code: "cli/interrupted", kind: "cancelled", message: "interrupted" }));
  const { stderr } = await up;
  expect(stderr).toMatch(/Edited: .*a.env/);
  expect(applied).toContain(REPLACED);
}, 60_000);

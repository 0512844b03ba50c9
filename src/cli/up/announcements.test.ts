import { PassThrough } from "node:stream";
import { expect, it } from "vitest";
import { MemoryDriver } from "../../drivers/memory-driver.fake.ts";
import { CliHarness } from "../cli-harness.fake.ts";
import { runCli } from "../run-cli.ts";

const FILE = `
name: demo
sources:
  numbers: { uses: generator, with: { rate: 10 } }
sinks:
  out: { uses: stdout, inputs: [numbers] }
`;

it("an up during a down waits until that is done, and then starts everything", async () => {
  let reached: () => void = () => undefined;
  let goOn: () => void = () => undefined;
  const removing = new Promise<void>((resolve) => {
    reached = resolve;
  });
  const held = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const driver = new MemoryDriver({
    name: "process",
    onApply: async ({ action }) => {
      if (action !== "remove") return;
      reached();
      await held;
    },
  });
  await using cli = await CliHarness.create({ "flowctl.yaml": FILE }, [driver]);
  await cli.run("up", "-d");
  const before = [...(driver.state.get("demo")?.keys() ?? [])].sort();
  const down = cli.run("down");
  await removing;
  const said = new PassThrough({ encoding: "utf8" });
  const up = runCli(["up", "-d"], cli.dependencies(new PassThrough().resume(), said));
  let text = "";
  for await (const chunk of said) {
    text += String(chunk);
    if (text.includes("\n")) break;
  }
  expect(text).toContain("is being taken down by another command");
  expect(driver.applied.filter((what) => what.startsWith("create")).length).toBe(before.length);
  goOn();
  expect(await down).toMatchObject({ code: 0 });
  expect(await up).toBe(0);
  expect([...(driver.state.get("demo")?.keys() ?? [])].sort()).toEqual(before);
});

it("an up whose pipeline is taken down meanwhile does not say that it started it", async () => {
  const driver = new MemoryDriver({
    name: "process",
    onApply: async (change) => {
      if (!("resource" in change) || change.resource.key !== "component/out-1") return;
      const world = () => driver.state.get("demo");
      while (world()?.delete("component/numbers-1") !== true) await new Promise((resolve) => setImmediate(resolve));
    },
  });
  await using cli = await CliHarness.create({ "flowctl.yaml": FILE }, [driver]);
  const { code, stderr } = await cli.run("up", "-d");
  expect(code).toBe(6);
  expect(stderr).toContain("code cli/taken-down");
  expect(stderr).toContain("component/numbers-1");
  expect(stderr).not.toContain("demo started");
});

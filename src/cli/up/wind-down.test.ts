import { expect, it } from "vitest";
import { MemoryDriver } from "../../drivers/memory-driver.fake.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import { CliHarness } from "../cli-harness.fake.ts";

const FILE = `
name: demo
sources:
  numbers: { uses: generator, with: { rate: 10 } }
sinks:
  out: { uses: stdout, inputs: [numbers] }
`;

it("down goes on when a step has failed by what was still being made when it began", async () => {
  const driver = new MemoryDriver({
    name: "process",
    onApply: (change) => {
      if (change.action !== "remove" || change.observed.key !== "component/numbers-1" || cli === undefined) return;
      const state = driver.state.get("demo")!;
      if (seen++ > 0) return;
      const late = { ...change.observed, key: "component/late-1" as const, owner: "late" };
      state.set(late.key, late);
      throw new FlowctlError({ code: "driver/in-use", kind: "failed", message: "something uses it" });
    },
  });
  let seen = 0;
  const cli = await CliHarness.create({ "flowctl.yaml": FILE }, [driver]);
  await using _ = cli;
  await cli.run("up", "-d");
  expect(await cli.run("down", "-v")).toMatchObject({ code: 0 });
  expect([...(driver.state.get("demo")?.keys() ?? [])]).toEqual([]);
  expect(seen).toBe(2);
});

it("down says so when something does not go away however often it is removed", async () => {
  const driver = new MemoryDriver({ name: "process" });
  const cli = await CliHarness.create({ "flowctl.yaml": FILE }, [driver]);
  await using _ = cli;
  await cli.run("up", "-d");
  const observe = driver.observe.bind(driver);
  cli.speed = 50;
  const [kept] = (await observe("demo")).filter(({ owner }) => owner === "out");
  driver.observe = async (...args) => {
    const seen = await observe(...args);
    return seen.includes(kept!) || kept === undefined ? seen : [...seen, kept];
  };
  const { code, stderr } = await cli.run("down", "-v");
  expect(code).not.toBe(0);
  expect(stderr).toContain("cli/not-gone");
  expect(stderr).toContain("component/out-1 of demo is still there");
});

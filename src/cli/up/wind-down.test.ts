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

it.each([[], ["--timeout", "0"]])(
  "down %s goes on when a step has failed by what was still being made when it began",
  async (...options) => {
    let seen = 0;
    const driver = new MemoryDriver({
      name: "process",
      onApply: (change) => {
        if (change.action !== "remove" || change.observed.key !== "component/numbers-1" || seen++ > 0) return;
        const late = { ...change.observed, key: "component/late-1" as const, owner: "late" };
        driver.state.get("demo")!.set(late.key, late);
        throw new FlowctlError({ code: "driver/in-use", kind: "failed", message: "something uses it" });
      },
    });
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE }, [driver]);
    await cli.run("up", "-d");
    expect(await cli.run("down", "-v", ...options)).toMatchObject({ code: 0 });
    expect([...(driver.state.get("demo")?.keys() ?? [])]).toEqual([]);
    expect(seen).toBe(2);
  },
);

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

it("down ends where two things come again in turns", async () => {
  const driver = new MemoryDriver({ name: "process" });
  await using cli = await CliHarness.create({ "flowctl.yaml": FILE }, [driver]);
  await cli.run("up", "-d");
  const observe = driver.observe.bind(driver);
  cli.speed = 50;
  const both = (await observe("demo")).filter(({ kind }) => kind === "component");
  let looks = 0;
  driver.observe = async (...args) => {
    const seen = await observe(...args);
    // Six times as many looks as fit into the minute that is allowed; then it gives up by itself, so that this test ends.
    if (++looks > 2500) return seen;
    const again = both[looks % both.length]!;
    return seen.some(({ key }) => key === again.key) ? seen : [...seen, again];
  };
  const { stderr } = await cli.run("down", "-v");
  expect(stderr).toContain("cli/not-gone");
});

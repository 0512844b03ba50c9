import { describe, expect, it } from "vitest";
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
const MORE = `${FILE}  more: { uses: discard, inputs: [numbers] }\n`;

const refusal = new FlowctlError({ code: "registry/would-lose-events", kind: "conflict", message: "no" });

/** A pipeline that runs with a sink that the file does not have any more, and what the control plane had at each change. */
async function edited() {
  const seen: string[] = [];
  const driver = new MemoryDriver({
    name: "process",
    onApply: async (change) => {
      if (change.action !== "stop" && change.action !== "remove") return;
      const has = cli.controlPlane.spec?.components.some(({ id }) => id === "more");
      seen.push(`${change.action} ${change.observed.key}, ${has ? "in" : "not in"} the pipeline`);
    },
  });
  const cli = await CliHarness.create({ "flowctl.yaml": MORE }, [driver]);
  await cli.run("up", "-d");
  await cli.write("flowctl.yaml", FILE);
  return { cli, seen };
}

describe("a sink that an edit removes", () => {
  it("is stopped while it still is in the pipeline, so that it ends its streams itself, and removed afterwards", async () => {
    const { cli, seen } = await edited();
    await using _ = cli;
    expect(await cli.run("up", "-d")).toMatchObject({ code: 0 });
    expect(seen).toEqual(["stop component/more-1, in the pipeline", "remove component/more-1, not in the pipeline"]);
    expect(cli.controlPlane.desired).toContain("renewed more-1");
  });

  it("goes on where the change is refused", async () => {
    const { cli, seen } = await edited();
    await using _ = cli;
    cli.controlPlane.refusal = refusal;
    expect((await cli.run("up", "-d")).code).not.toBe(0);
    expect(seen).toEqual([]);
  });

  it("is started again where it was stopped and the change was not made after all, and that is what is said", async () => {
    const { cli } = await edited();
    await using _ = cli;
    const [driver] = cli.drivers as [MemoryDriver];
    const apply = driver.apply.bind(driver);
    driver.apply = async (change, context) => {
      await apply(change, context);
      if (change.action !== "stop") return;
      throw new FlowctlError({ code: "driver/lost", kind: "failed", message: "the engine went away" });
    };
    const { code, stderr } = await cli.run("up", "--wait");
    expect(code).toBe(1);
    expect(stderr).toContain("the engine went away");
    expect(stderr).not.toContain("another command");
    expect(cli.controlPlane.desired.slice(-2)).toEqual(["renewed more-1", "started more-1"]);
    expect(driver.state.get("demo")?.get("component/more-1")?.state.status).toBe("running");
  });

  it("asks again for a change that was refused since what the stopped sink is owed was not known yet", async () => {
    const { cli, seen } = await edited();
    await using _ = cli;
    const [driver] = cli.drivers as [MemoryDriver];
    const apply = driver.apply.bind(driver);
    driver.apply = async (change, context) => {
      await apply(change, context);
      if (change.action === "stop") cli.controlPlane.refusals.push(refusal, refusal);
    };
    expect(await cli.run("up", "-d")).toMatchObject({ code: 0 });
    expect(cli.controlPlane.refusals).toEqual([]);
    expect(seen).toEqual(["stop component/more-1, in the pipeline", "remove component/more-1, not in the pipeline"]);
  });
});

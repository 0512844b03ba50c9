import { describe, expect, it } from "vitest";
import { MemoryDriver } from "../../drivers/memory-driver.fake.ts";
import { CliHarness } from "../cli-harness.fake.ts";

const FILE = `
name: demo
sources: { numbers: { uses: generator } }
processors:
  even: { uses: filter, inputs: [numbers], with: { where: "true" }, environment: { WHERE: "\${WHERE:?set it}" }, secrets: [key] }
sinks:
  out: { uses: discard, inputs: [even] }
  extra: { uses: discard, inputs: [even], profiles: [more] }
secrets: { key: { environment: KEY } }
`;

/** Started with options of all kinds that the command that follows is not given. */
async function started(): Promise<{ cli: CliHarness; driver: MemoryDriver }> {
  const cli = await CliHarness.create({ "flowctl.yaml": FILE, "prod.env": "WHERE=there\nKEY=secret\n" });
  const [driver] = cli.drivers as [MemoryDriver];
  const up = ["up", "-d", "--log-level", "warn", "--env-file", "prod.env", "--profile", "more", "--scale", "out=2"];
  expect(await cli.run(...up)).toMatchObject({ code: 0 });
  driver.applied.splice(0);
  return { cli, driver };
}

const partsOf = (driver: MemoryDriver, key: `component/${string}`) => driver.state.get("demo")?.get(key)?.parts;

describe("scale", () => {
  it("takes everything but the numbers from what is applied, and nothing from its own command line", async () => {
    const { cli, driver } = await started();
    await using _ = cli;
    const replicas = () => cli.controlPlane.spec?.components.map(({ id, replicas: n }) => `${id}=${n}`);
    for (const args of [["even=3"], ["even=2", "-p", "demo", "-f", "flowctl.yaml"], ["extra=2"]]) {
      const { code, stderr } = await cli.run("scale", ...args);
      expect(code, stderr).toBe(0);
    }
    expect(driver.applied).toEqual([
      "create component/even-2",
      "create component/even-3",
      "remove component/even-3",
      "create component/extra-2",
    ]);
    expect(partsOf(driver, "component/even-2")).toEqual(partsOf(driver, "component/even-1"));
    expect(partsOf(driver, "component/even-2")).toMatchObject({
      log_level: partsOf(driver, "component/out-1")?.log_level,
    });
    expect(replicas()).toEqual(["numbers=1", "even=2", "out=2", "extra=2"]);
  });

  it("replaces nothing for an edited file, and needs none", async () => {
    const { cli, driver } = await started();
    await using _ = cli;
    await cli.write("flowctl.yaml", FILE.replaceAll('where: "true"', 'where: "false"').replace("WHERE:", "ELSE:"));
    expect(await cli.run("scale", "even=2")).toMatchObject({ code: 0 });
    expect(driver.applied).toEqual(["create component/even-2"]);
    expect(partsOf(driver, "component/even-2")).toEqual(partsOf(driver, "component/even-1"));
  });

  it("replaces nothing, either, where it is not kept how the pipeline was applied", async () => {
    const { cli, driver } = await started();
    await using _ = cli;
    cli.controlPlane.kept = {};
    cli.env = { ...cli.env, WHERE: "here", KEY: "secret", FLOWCTL_PROFILES: "more" };
    const { code, stderr } = await cli.run("scale", "even=2");
    expect(code, stderr).toBe(0);
    expect(stderr).toContain("The applied configuration is not stored");
    expect(driver.applied).toEqual(["create component/even-2"]);
  });

  it("gives new instances a secret's present value, and says so", async () => {
    const { cli, driver } = await started();
    await using _ = cli;
    cli.env = { ...cli.env, KEY: "another" };
    expect((await cli.run("scale", "even=2")).stderr).toContain("New instances use the current value of key");
    expect(driver.applied).toEqual(["create component/even-2"]);
  });
});

describe("a change that another command makes right before this one holds the operation", () => {
  it("is part of what is planned from: nothing of it is undone", async () => {
    const { cli } = await started();
    await using _ = cli;
    cli.controlPlane.beforeHold = () => {
      const { spec } = cli.controlPlane;
      if (spec === undefined) throw new Error("nothing is applied");
      const components = spec.components.map((one) => (one.id === "extra" ? { ...one, replicas: 5 } : one));
      cli.controlPlane.spec = { ...spec, components };
    };
    expect(await cli.run("scale", "even=2")).toMatchObject({ code: 0 });
    expect(cli.controlPlane.spec?.components.find(({ id }) => id === "extra")?.replicas).toBe(5);
  });
});

describe("a change that another command makes while this one does not hold the operation, as its control plane is replaced", () => {
  it.each([
    ["scale even=3", "control/changed-since", ["component/even-3"]],
    ["stop", "control/operation-taken-over", []],
  ])("is not overwritten: the plan of before it is given up, with the reason: %s", async (command, error, made) => {
    let meanwhile: (() => Promise<void>) | undefined;
    const driver = new MemoryDriver({
      name: "process",
      onApply: async ({ action }, _) => {
        const once = meanwhile;
        if (action === "replace") meanwhile = undefined;
        if (action === "replace") await once?.();
      },
    });
    const file = FILE.replace(/environment.*secrets: \[key\]/, "environment: {}").replace(/secrets: .*\n/, "");
    await using cli = await CliHarness.create({ "flowctl.yaml": file }, [driver]);
    expect(await cli.run("up", "-d")).toMatchObject({ code: 0 });
    meanwhile = async () => {
      cli.controlPlane.restart();
      // Ends only with the streams of those that held it.
      await new Promise((wake) => setImmediate(wake));
      expect(await cli.run(...command.split(" "))).toMatchObject({ code: 0 });
    };
    const { code, stderr } = await cli.run("up", "-d", "--force-recreate");
    expect(code, stderr).toBe(6);
    expect(stderr).toContain(`code ${error}`);
    expect([...(driver.state.get("demo")?.keys() ?? [])]).toEqual(expect.arrayContaining(made));
    expect(cli.controlPlane.stopped.size > 0).toBe(command === "stop");
    expect(await cli.run("up", "-d", "--scale", "even=3")).toMatchObject({ code: 0 });
  });
});

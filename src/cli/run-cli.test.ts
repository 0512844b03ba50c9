import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { ObservedState } from "../drivers/driver.ts";
import { MemoryDriver } from "../drivers/memory-driver.fake.ts";
import { FlowctlError } from "../foundation/errors.ts";
import { resourceOf } from "../planner/plan.ts";
import { CliHarness } from "./cli-harness.fake.ts";

const FILE = `
name: demo
sources: { numbers: { uses: generator } }
processors: { even: { uses: filter, inputs: [numbers], with: { where: "true" } } }
sinks: { out: { uses: discard, inputs: [even] } }
`;
const exited = (exitCode: number): ObservedState => ({
  status: "exited",
  exitCode,
  oomKilled: false,
  finishedAt: 0,
  restarts: 0,
});

describe("every command", () => {
  it("has a help with an example", async () => {
    await using cli = await CliHarness.create({});
    const { stdout } = await cli.run("--help");
    const names = [...stdout.matchAll(/^ {2}([a-z]+) .*$/gm)].map(([, name]) => name as string);
    const commands = names.filter((name) => name !== "help" && name !== "flowctl");
    expect(commands.length).toBeGreaterThanOrEqual(20);
    for (const name of commands) {
      const help = await cli.run(name, "--help");
      expect(help.code, name).toBe(0);
      expect(help.stdout, name).toMatch(/Examples?:\n/);
    }
  });
});

describe("an error", () => {
  it("is shown with its code and its fix, without a stack, and decides the exit code", async () => {
    const failing = new MemoryDriver({
      name: "process",
      onApply: () => {
        throw new FlowctlError({
          code: "docker/no-image",
          kind: "not-found",
          message: "no such image",
          fix: "Pull it",
        });
      },
    });
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE }, [failing]);
    const { code, stderr } = await cli.run("up", "-d");
    expect(code).toBe(5);
    expect(stderr).toContain("error: no such image\n  fix  Pull it\n  code docker/no-image\n");
    expect(stderr).not.toContain("    at ");
  });

  it("that nobody foresaw is a defect: exit code 70, with its stack only for FLOWCTL_DEBUG", async () => {
    const broken = new MemoryDriver({ name: "process" });
    broken.prepare = () => Promise.reject(new TypeError("undefined is not a function"));
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE }, [broken]);
    const plain = await cli.run("up", "-d");
    expect(plain.code).toBe(70);
    expect(plain.stderr).toContain("code internal/unexpected");
    expect(plain.stderr).not.toContain("    at ");
    cli.env = { ...cli.env, FLOWCTL_DEBUG: "1" };
    expect((await cli.run("up", "-d")).stderr).toContain("    at ");
  });
});

describe("validate", () => {
  it("reports every mistake with its place and exits with 3", async () => {
    await using cli = await CliHarness.create({
      "flowctl.yaml": FILE.replace("filter", "filtre").replace("[even]", "[evn]"),
    });
    const { code, stderr } = await cli.run("validate");
    expect(code).toBe(3);
    expect(stderr).toMatch(/^flowctl\.yaml:4:\d+: error: .*filtre/m);
    expect(stderr).toMatch(/^flowctl\.yaml:5:\d+: error: .*evn/m);
    expect(stderr).toContain("2 errors");
  });

  it("says the same to machines", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE.replace("filter", "filtre") });
    const { code, stdout } = await cli.run("validate", "--json");
    expect(code).toBe(3);
    expect(JSON.parse(stdout)).toMatchObject({ valid: false, problems: [{ line: 4, severity: "error" }] });
  });

  it("names a file by its shorter path", async () => {
    await using cli = await CliHarness.create({ "a/flowctl.yaml": "name: [", "b/keep": "" });
    cli.cwd = join(cli.folder, "b");
    expect((await cli.run("validate", "../a/flowctl.yaml")).stderr).toMatch(/^\.\.\/a\/flowctl\.yaml:1:/m);
    expect((await cli.run("validate", "/dev/null")).stderr).toMatch(/^\/dev\/null:1:1: /m);
  });

  it("finds the file from a folder below", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE, "a/b/x.txt": "" });
    cli.cwd = join(cli.folder, "a", "b");
    const { code, stderr } = await cli.run("validate");
    expect(code).toBe(0);
    expect(stderr).toContain("demo is valid: 3 components");
  });
});

describe("up -d", () => {
  it("says which driver it took and why, tells the topology before components start, and makes everything", async () => {
    const order: string[] = [];
    const driver = new MemoryDriver({
      name: "process",
      onApply: (change) => void order.push(`${resourceOf(change).key} ${cli.controlPlane.applied}`),
    });
    const docker = new MemoryDriver({ name: "docker", probe: { available: false, reason: "no engine answers" } });
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE }, [docker, driver]);
    const { code, stderr } = await cli.run("up", "-d");
    expect(code, stderr).toBe(0);
    expect(stderr).toContain("demo on process (docker is not available (no engine answers); in memory)");
    expect(order).toContain("control-plane/1 0");
    expect(order.filter((line) => line.startsWith("component/")).sort()).toEqual([
      "component/even-1 1",
      "component/numbers-1 1",
      "component/out-1 1",
    ]);
    expect(cli.controlPlane.spec?.components.map(({ id }) => id)).toEqual(["numbers", "even", "out"]);
  });

  it("does nothing the second time", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    await cli.run("up", "-d");
    const [driver] = cli.drivers as [MemoryDriver];
    const before = driver.applied.length;
    const { code, stderr } = await cli.run("up", "-d");
    expect(code).toBe(0);
    expect(stderr).toContain("demo: nothing to do");
    expect(driver.applied).toHaveLength(before);
  });

  it("leaves completed components alone, starts stopped ones", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    await cli.run("up", "-d");
    const [driver] = cli.drivers as [MemoryDriver];
    const world = driver.state.get("demo");
    for (const id of ["numbers", "even"] as const) {
      const resource = world?.get(`component/${id}-1`);
      if (resource !== undefined) world?.set(resource.key, { ...resource, state: exited(0) });
    }
    cli.controlPlane.instanceStates.set("numbers-1", { state: "completed", reason: "" });
    cli.controlPlane.instanceStates.set("even-1", { state: "stopping", reason: "" });
    const { stdout } = await cli.run("up", "--dry-run");
    expect(stdout).toContain("start   component/even-1  was stopped");
    expect(stdout).not.toContain("component/numbers-1");
  });

  it("changes nothing with --dry-run", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    const { code, stdout } = await cli.run("up", "--dry-run", "--json");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      pipeline: "demo",
      driver: "process",
      changes: [{}, {}, {}, {}, {}, {}],
    });
    expect(cli.drivers[0]?.applied).toEqual([]);
  });

  it("ends with --dry-run as the real command would where the control plane refuses the plan", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    await cli.run("up", "-d");
    expect((await cli.run("up", "--dry-run")).stdout).not.toContain("refused");
    const message = "the change would lose accepted events";
    const code = "registry/would-lose-events";
    cli.controlPlane.refusal = new FlowctlError({ code, kind: "conflict", message, fix: "Start even." });
    const dry = await cli.run("up", "--dry-run");
    expect(dry.code).toBe(6);
    expect(dry.stdout).toContain("nothing to do");
    expect(cli.controlPlane.applied).toBe(1);
    const json = await cli.run("up", "--dry-run", "--json");
    expect(JSON.parse(json.stdout)).toMatchObject({ pipeline: "demo" });
    expect(JSON.parse(json.stderr)).toMatchObject({ error: { code, message, fix: "Start even.", exitCode: 6 } });
    const real = await cli.run("up", "-d");
    expect(real.code).toBe(dry.code);
    expect(dry.stderr).toContain(`error: ${message}\n  fix  Start even.\n  code ${code}\n`);
    expect(real.stderr).toContain(`error: ${message}\n  fix  Start even.\n  code ${code}\n`);
  });

  it("names the component that a driver cannot run, and what it lacks", async () => {
    const file = `
name: demo
sources: { numbers: { image: "acme/numbers:1" } }
sinks: { out: { uses: discard, inputs: [numbers] } }
`;
    await using cli = await CliHarness.create({ "flowctl.yaml": file });
    const automatic = await cli.run("up", "-d");
    expect(automatic.code).toBe(4);
    expect(automatic.stderr).toContain("process: `numbers` needs `uses` or `command` to run as a process");
    const asked = await cli.run("up", "-d", "--driver", "process");
    expect(asked.code).toBe(3);
    expect(asked.stderr).toContain("numbers");
  });

  it("refuses to run a second time on another driver", async () => {
    const drivers = [new MemoryDriver({ name: "docker" }), new MemoryDriver({ name: "process" })];
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE }, drivers);
    await cli.run("up", "-d");
    const { code, stderr } = await cli.run("up", "-d", "--driver", "process");
    expect(code).toBe(6);
    expect(stderr).toContain("demo already exists on docker");
  });

  it("with --wait returns 1 and the last lines of what failed", async () => {
    const driver = new MemoryDriver({
      name: "process",
      logs: [{ instance: "out-1", owner: "out", stream: "stderr", time: Date.now() + 60_000, text: "disk is full" }],
    });
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE }, [driver]);
    cli.controlPlane.state = "failed";
    cli.controlPlane.instanceStates.set("out-1", { state: "failed", reason: "exited with code 3" });
    const { code, stderr } = await cli.run("up", "-d", "--wait");
    expect(code).toBe(1);
    expect(stderr).toContain("out-1 │ disk is full");
    expect(stderr).toContain("error: demo failed: out-1 exited with code 3");
  });

  it("with --wait gives up after --timeout with 7", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    cli.controlPlane.state = "starting";
    const { code, stderr } = await cli.run("up", "-d", "--wait", "--timeout", "300ms");
    expect(code).toBe(7);
    expect(stderr).toContain("demo was not healthy within 300ms; it is starting");
  });

  it("refuses a number of instances that the file would be refused with, before anything starts", async () => {
    await using cli = await CliHarness.create({
      "flowctl.yaml": `
name: demo
sources: { numbers: { uses: generator } }
sinks:
  out: { uses: file, inputs: [numbers], with: { path: out.jsonl } }
  shop: { uses: discard, inputs: [numbers], ports: ["8081:8088"] }
`,
    });
    await cli.run("up", "-d");
    const before = cli.drivers[0]?.applied.length;
    for (const [command, code] of [
      [["scale", "out=2"], "pipeline/shared-output"],
      [["scale", "shop=2"], "pipeline/port-with-replicas"],
      [["up", "-d", "--scale", "out=2"], "pipeline/shared-output"],
    ] as const) {
      expect(await cli.run(...command)).toMatchObject({ code: 3, stderr: expect.stringContaining(code) });
    }
    expect(cli.drivers[0]?.applied.length).toBe(before);
    expect((await cli.run("scale", "numbers=2")).code).toBe(0);
  });

  it("scales as told, and knows the components", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    await cli.run("up", "-d", "--scale", "even=2");
    expect([...(cli.drivers[0]?.state.get("demo")?.keys() ?? [])]).toContain("component/even-2");
    const { code, stderr } = await cli.run("up", "-d", "--scale", "evn=2");
    expect(code).toBe(5);
    expect(stderr).toContain("Did you mean even?");
  });
});

describe("a pipeline that runs", () => {
  it("stays on its driver as long as nobody says otherwise, and never runs on two", async () => {
    const docker = new MemoryDriver({ name: "docker" });
    const process = new MemoryDriver({ name: "process" });
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE }, [docker, process]);
    expect((await cli.run("up", "-d", "--driver", "process")).code).toBe(0);
    const again = await cli.run("up", "-d");
    expect(again.stderr).toContain("demo on process (already running there)");
    expect((await cli.run("scale", "even=2")).code).toBe(0);
    expect(await docker.pipelines()).toEqual([]);
    const refused = await cli.run("up", "-d", "--driver", "docker");
    expect(refused.code).toBe(6);
    expect(refused.stderr).toContain("code cli/runs-elsewhere");
    expect(await docker.pipelines()).toEqual([]);
  });
});

describe("the driver of the config file", () => {
  it("is taken where the pipeline file names none, and gives way to it", async () => {
    const drivers = () => [new MemoryDriver({ name: "docker" }), new MemoryDriver({ name: "process" })];
    const config = { "config/flowctl/config.yaml": "driver: process\n" };
    await using none = await CliHarness.create({ "flowctl.yaml": FILE, ...config }, drivers());
    expect((await none.run("up", "-d")).stderr).toContain("demo on process (chosen by the config file)");
    await using named = await CliHarness.create({ "flowctl.yaml": `${FILE}driver: docker\n`, ...config }, drivers());
    expect((await named.run("up", "-d")).stderr).toContain("demo on docker (chosen by the pipeline file)");
  });
});

describe("attached up", () => {
  it("stops everything but the control plane when the pipeline has completed, and returns 0", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    cli.controlPlane.state = "completed";
    const [driver] = cli.drivers as [MemoryDriver];
    const run = cli.run("up");
    while (!driver.applied.includes("create component/out-1")) await new Promise((wake) => setTimeout(wake, 5));
    const world = driver.state.get("demo");
    for (const [key, resource] of world ?? []) {
      if (resource.kind === "component") world?.set(key, { ...resource, state: exited(0) });
    }
    const { code, stderr } = await run;
    expect(code, stderr).toBe(0);
    expect(stderr).toContain("demo completed");
  });

  it("stops from the sources down at the first interrupt, and returns 130", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    const [driver] = cli.drivers as [MemoryDriver];
    const run = cli.run("up");
    while (cli.controlPlane.applied === 0 || driver.applied.length < 5)
      await new Promise((wake) => setTimeout(wake, 5));
    cli.first.abort();
    const { code, stderr } = await run;
    expect(code, stderr).toBe(130);
    expect(driver.applied.slice(-3)).toEqual([
      "stop component/numbers-1",
      "stop component/even-1",
      "stop component/out-1",
    ]);
    // First of all, so that nothing of it is started any more, whatever becomes of the command.
    expect(cli.controlPlane.desired.at(-1)).toBe("stopped all");
  });
});

describe("run", () => {
  it("takes everything down at the end and sums up", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    cli.controlPlane.state = "failed";
    cli.controlPlane.instanceStates.set("out-1", { state: "failed", reason: "exited with code 3" });
    const { code, stdout, stderr } = await cli.run("run");
    expect(code).toBe(1);
    // Nothing is left that `flowctl logs` could show.
    expect(stderr).toContain("See what it logged above");
    expect(stdout).toMatch(/^out +sink +failed +10 /m);
    expect(cli.drivers[0]?.state.size).toBe(0);
  });

  it("refuses when something of the pipeline exists, which it would take down", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    await cli.run("up", "-d");
    const { code, stderr } = await cli.run("run");
    expect(code).toBe(6);
    expect(stderr).toContain("code cli/exists-already");
    expect(cli.drivers[0]?.state.size).toBe(1);
  });
});

describe("down", () => {
  it("removes what came into being while it was at work, too", async () => {
    let late: (() => void) | undefined;
    const driver = new MemoryDriver({
      name: "process",
      onApply: ({ action }) => {
        if (action !== "remove") return;
        late?.();
        late = undefined;
      },
    });
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE }, [driver]);
    await cli.run("up", "-d");
    const world = driver.state.get("demo");
    const made = world?.get("component/out-1");
    if (world === undefined || made === undefined) throw new Error("the pipeline is not there");
    late = () => world.set("component/out-2", { ...made, key: "component/out-2", index: 2 });
    expect((await cli.run("down")).code).toBe(0);
    expect(driver.applied).toContain("remove component/out-2");
    expect([...(driver.state.get("demo")?.keys() ?? [])]).toEqual(["volume/state"]);
  });
});

describe("a command about what runs", () => {
  it("names the drivers that could not be asked when it finds nothing", async () => {
    const docker = new MemoryDriver({ name: "docker", probe: { available: false, reason: "no engine answers" } });
    await using cli = await CliHarness.create({}, [docker, new MemoryDriver({ name: "process" })]);
    const named = await cli.run("down", "demo");
    expect(named.code).toBe(5);
    expect(named.stderr).toContain("does not exist, as far as can be seen (docker: no engine answers)");
    expect((await cli.run("ps")).stderr).toContain("as far as can be seen (docker: no engine answers)");
  });

  it("finds the pipeline by name, by file, or as the only one there is", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    await cli.run("up", "-d");
    expect((await cli.run("ps", "demo", "--json")).code).toBe(0);
    expect((await cli.run("ps", "flowctl.yaml", "--json")).code).toBe(0);
    await rm(join(cli.folder, "flowctl.yaml"));
    const only = await cli.run("ps", "--json");
    expect(JSON.parse(only.stdout)).toMatchObject([{ instance: "numbers-1", state: "healthy" }, {}, {}, {}]);
    expect(await cli.run("ps", "other")).toMatchObject({ code: 0, stderr: expect.stringContaining("does not exist") });
    expect((await cli.run("down", "dmeo", "-v")).stderr).toContain("fix  Did you mean `flowctl down -p demo -v`?");
    expect((await cli.run("logs", "-p", "demmo")).stderr).toContain("fix  Did you mean `flowctl logs -p demo`?");
  });

  it("says so where a driver is asked for that there is not", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    for (const command of ["ps", "down", "logs"]) {
      const { code, stderr } = await cli.run(command, "--driver", "kubernetes");
      expect(code).toBe(4);
      expect(stderr).toContain("The kubernetes driver is not available in this version\n  fix  Use one of process");
    }
  });

  it("asks which one when there are several", async () => {
    await using cli = await CliHarness.create({ "a.yaml": FILE, "b.yaml": FILE.replace("demo", "other") });
    await cli.run("up", "a.yaml", "-d");
    await cli.run("up", "b.yaml", "-d");
    const { code, stderr } = await cli.run("ps");
    expect(code).toBe(2);
    expect(stderr).toContain("Several pipelines exist: demo, other");
  });

  it("says that nothing runs with 5", async () => {
    await using cli = await CliHarness.create({});
    expect(await cli.run("down")).toMatchObject({ code: 5 });
  });

  it("works while the control plane is away, by what the driver sees", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    await cli.run("up", "-d");
    cli.controlPlane.away = true;
    const { code, stdout } = await cli.run("ps");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^numbers-1 +component +healthy/m);
    expect((await cli.run("status")).code).toBe(4);
    expect((await cli.run("down", "-v")).code).toBe(0);
    expect(cli.drivers[0]?.state.size).toBe(0);
  });

  it("shows the logs of what is selected, structured lines as level, text and fields", async () => {
    const line = (owner: string, text: string) => ({
      instance: `${owner}-1`,
      owner,
      stream: "stderr" as const,
      time: 5,
      text,
    });
    const driver = new MemoryDriver({
      name: "process",
      logs: [
        line("numbers", '{"time":"2026-01-01T00:00:00Z","level":"info","msg":"started","port":80}'),
        line("out", '{"level":"debug","msg":"sent","reason":"two words"}'),
        line("out", "plain"),
      ],
    });
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE }, [driver]);
    await cli.run("up", "-d");
    expect((await cli.run("logs")).stdout).toBe(
      'numbers-1 │ info  started port=80\nout-1     │ debug sent reason="two words"\nout-1     │ plain\n',
    );
    expect((await cli.run("logs", "out", "--no-prefix", "--level", "info")).stdout).toBe("plain\n");
    expect((await cli.run("logs", "uot")).code).toBe(5);
  });
});

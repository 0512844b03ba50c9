import { realpath } from "node:fs/promises";
import { Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import { MemoryDriver } from "../drivers/memory-driver.fake.ts";
import { FlowctlError } from "../foundation/errors.ts";
import { CliHarness } from "./cli-harness.fake.ts";
import { ExitCode } from "./exit-codes.ts";
import { runCli } from "./run-cli.ts";

const FILE = `
name: demo
sources: { numbers: { uses: generator } }
sinks: { out: { uses: discard, inputs: [numbers] } }
`;

const line = (instance: string, text: string) =>
  ({ instance, owner: instance.replace(/-\d+$/, ""), stream: "stderr", time: 1, text }) as const;

describe("status", () => {
  it("says of what has ended no more that it is blocked", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    await cli.run("up", "-d");
    const record = cli.controlPlane.record();
    const blocked = (state: "healthy" | "completed") => ({
      ...record,
      components: record.components.map((one) => ({
        ...one,
        instances: one.instances.map((each) => ({ ...each, state, metrics: { ...each.metrics, backpressure: 0.5 } })),
      })),
    });
    cli.controlPlane.record = () => blocked("healthy");
    expect((await cli.run("status")).stdout).toContain("50%");
    cli.controlPlane.record = () => blocked("completed");
    expect((await cli.run("status")).stdout).not.toContain("50%");
  });

  it("--watch shows the state anew until Ctrl-C, also where a look fails", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    await cli.run("up", "-d");
    cli.speed = 100;
    const record = cli.controlPlane.record();
    const looks = [
      () => record,
      () => {
        throw new FlowctlError({ code: "registry/no-pipeline", kind: "unavailable", message: "not told yet" });
      },
      () => {
        cli.first.abort(new FlowctlError({ code: "cli/interrupted", kind: "cancelled", message: "interrupted" }));
        return record;
      },
    ];
    cli.controlPlane.record = () => looks.shift()!();
    const { code, stdout } = await cli.run("status", "--watch", "--json");
    expect(code).toBe(0);
    const seen = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const names = seen.map((one) => one.name ?? one.error.code);
    expect(names).toEqual(["demo", "registry/no-pipeline", "demo"]);
  });

  it("--watch says once why it sees nothing, until there is something else to say", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    await cli.run("up", "-d");
    cli.speed = 100;
    const record = cli.controlPlane.record();
    const fail = (code: string) => () => {
      throw new FlowctlError({ code, kind: "unavailable", message: "not now" });
    };
    const looks = [fail("a/one"), fail("a/one"), fail("b/two"), fail("b/two"), () => record, fail("b/two")];
    cli.controlPlane.record = () => {
      if (looks.length === 0)
        cli.first.abort(new FlowctlError({ code: "cli/interrupted", kind: "cancelled", message: "interrupted" }));
      return (looks.shift() ?? fail("b/two"))();
    };
    const { code, stdout } = await cli.run("status", "--watch");
    expect(code).toBe(0);
    expect(stdout.match(/code .*|^COMPONENT/gm)).toEqual(["code a/one", "code b/two", "COMPONENT", "code b/two"]);
  });

  it("--watch draws over what it drew on a terminal, with no more lines than that has", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    await cli.run("up", "-d");
    cli.speed = 100;
    const record = cli.controlPlane.record();
    let looks = 0;
    cli.controlPlane.record = () => {
      if (++looks === 2)
        cli.first.abort(new FlowctlError({ code: "cli/interrupted", kind: "cancelled", message: "interrupted" }));
      return record;
    };
    let text = "";
    const terminal = Object.assign(
      new Writable({
        write: (chunk: Buffer, _, done) => {
          text += chunk.toString();
          done();
        },
      }),
      { isTTY: true, columns: 80, rows: 4 },
    );
    expect(await runCli(["status", "--watch"], cli.dependencies(terminal, terminal))).toBe(0);
    const [cleared, ...drawn] = text.split("\x1b[H");
    expect(cleared).toBe("\x1b[2J");
    expect(drawn).toHaveLength(2);
    for (const one of drawn) expect(one).toMatch(/^([^\n]*\x1b\[K\n){3}\x1b\[J$/);
  });

  it("says of an instance that is not well why, how often it was restarted, what it said last and what to do", async () => {
    const logs = [line("out-1", "connecting"), line("out-1", "password refused"), line("numbers-1", "made 10")];
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE }, [new MemoryDriver({ logs })]);
    await cli.run("up", "-d");
    cli.controlPlane.state = "failed";
    cli.controlPlane.instanceStates.set("out-1", {
      state: "failed",
      reason: "exited with code 1; gave up after 6 failures in a row",
    });
    cli.controlPlane.instanceStates.set("numbers-1", { state: "unhealthy", reason: "no heartbeat for 30 s" });
    const { code, stdout } = await cli.run("status");
    expect(code).toBe(0);
    const [, troubles = ""] = stdout.split("\n\nout-1");
    expect(`out-1${troubles}`.split("\n")).toEqual([
      "out-1 is failed: exited with code 1; gave up after 6 failures in a row",
      "  last log line  password refused",
      "  fix            See its logs with `flowctl logs -p demo out-1`, fix it, then `flowctl up` or `flowctl start -p demo out-1`",
      "numbers-1 is unhealthy: no heartbeat for 30 s",
      "  last log line  made 10",
      "  fix            It will be restarted by its `restart` policy; `flowctl events -p demo` shows the progress",
      "",
    ]);
    const { troubles: data } = JSON.parse((await cli.run("status", "--json")).stdout) as { troubles: unknown[] };
    expect(data[0]).toMatchObject({ instance: "out-1", state: "failed", lastLine: "password refused", restarts: 0 });
  });

  it("says of an instance that should run and is not there that it is missing, and what creates it", async () => {
    const driver = new MemoryDriver();
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE }, [driver]);
    await cli.run("up", "-d");
    driver.state.get("demo")?.delete("component/out-1");
    const { stdout } = await cli.run("status");
    expect(stdout).toContain(
      "out-1 is missing: should run, but does not exist on process: it was removed, or never created",
    );
    expect(stdout).toContain("`flowctl up -d -p demo` in the pipeline's folder creates it");
  });

  it("says after `flowctl down` that nothing runs, that state is kept, and how to go on, as every look at the control plane", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    await cli.run("up", "-d");
    await cli.run("down");
    for (const args of [["status"], ["events"], ["access", "list"], ["access", "grant", "anna"]]) {
      const { code, stderr } = await cli.run(...args);
      expect(code, stderr).toBe(ExitCode.notFound);
      expect(stderr).toContain("error: Pipeline demo is not running; what it has stored is kept\n");
      const folder = await realpath(cli.folder);
      expect(stderr).toContain(
        `Start it with \`flowctl up -d\` in ${folder}, or remove what is kept with \`flowctl down -v\``,
      );
      expect(stderr).toContain("code cli/not-running");
    }
  });

  it("says of a control plane that is gone while others run that it does not answer", async () => {
    const driver = new MemoryDriver();
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE }, [driver]);
    await cli.run("up", "-d");
    driver.state.get("demo")?.delete("control-plane/1");
    expect((await cli.run("status")).stderr).toContain("code cli/no-control-plane");
  });

  it("calls a component stopped once nothing of it runs, and stopping until then", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    await cli.run("up", "-d");
    cli.controlPlane.instanceStates.set("out-1", { state: "stopping", reason: "" });
    const stateOf = async (): Promise<string | undefined> =>
      /^out +sink +\S+ +(\S+)/m.exec((await cli.run("status")).stdout)?.[1];
    expect(await stateOf()).toBe("stopping");
    await cli.run("stop", "out");
    expect(await stateOf()).toBe("stopped");
  });

  it("names the disk and its free space where the control plane cannot write, whether it answers or not", async () => {
    const logs = [
      line("control-plane", '{"level":"info","msg":"control plane ready"}'),
      line("control-plane", '{"level":"error","msg":"the supervisor failed: the disk is full","code":"store/full"}'),
    ];
    const driver = new MemoryDriver({ logs, folder: "/proc" });
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE }, [driver]);
    await cli.run("up", "-d");
    expect((await cli.run("status")).stdout).toMatch(/^disk: 0 B free in the process driver's folder \(\/proc\)$/m);
    const world = driver.state.get("demo");
    const state = { status: "exited", exitCode: 1, oomKilled: false, finishedAt: 1, restarts: 0 } as const;
    world?.set("control-plane/1", { ...world.get("control-plane/1")!, state });
    const { code, stderr } = await cli.run("status");
    expect(code).toBe(ExitCode.unavailable);
    expect(stderr).toMatch(/does not answer: the supervisor failed: the disk is full; 0 B free in .*\/proc/);
    expect(stderr).toContain("code store/full");
  });
});

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { engineAccessDriver } from "../../src/drivers/docker/engine-access/engine-access-client.ts";
import type { Change, ObservedResource } from "../../src/drivers/driver.ts";
import { packageVersion } from "../../src/foundation/package-root.ts";
import { buildProgram, eventually, Scenario } from "./checks.ts";
import { driversUnderTest } from "./drivers-under-test.ts";

const run = promisify(execFile);
const never = new AbortController().signal;

async function docker(...args: string[]): Promise<string> {
  return (await run("docker", args)).stdout.trim();
}

const inspect = (container: string, what: string): Promise<string> => docker("inspect", "-f", what, container);

/** What a program in a container finds of the engine and of networks, and what it may do. */
const LOOK = `
  const { connect } = require("node:net");
  const { readFileSync, writeFileSync } = require("node:fs");
  const { networkInterfaces } = require("node:os");
  const tries = (work) => { try { work(); return "done"; } catch (error) { return error.code; } };
  const status = readFileSync("/proc/self/status", "utf8");
  const socket = connect("/var/run/docker.sock");
  const tell = (engine) => {
    console.log(JSON.stringify({
      engine,
      networks: Object.keys(networkInterfaces()),
      user: process.getuid(),
      capabilities: /CapEff:\\s*(\\w+)/.exec(status)[1],
      root: tries(() => writeFileSync("/mark", "x")),
      shared: tries(() => writeFileSync("/run/flowctl/mark", "x")),
    }));
    process.exit();
  };
  socket.once("connect", () => tell("reached")).once("error", (error) => tell(error.code));
`;

const lookInto = async (container: string): Promise<unknown> =>
  JSON.parse(await docker("exec", container, "node", "-e", LOOK));

/** The state of everything that may not change. */
const stateOf = (...containers: string[]): Promise<string> =>
  docker("inspect", "-f", "{{.Name}} {{.State.Status}} {{.State.StartedAt}} {{.RestartCount}}", ...containers);

function change(action: "start" | "stop" | "restart", kind: string, owner: string, index = 1): Change {
  return { action, observed: { kind, owner, index } as ObservedResource, cause: "" };
}

beforeAll(buildProgram);

describe.skipIf(!driversUnderTest().includes("docker"))("the engine, on Docker", () => {
  it("is out of the control plane's reach, and works for it on its own pipeline alone, killed or not", async () => {
    await using scenario = await Scenario.on(
      "docker",
      `
sources: { numbers: { uses: generator, with: { rate: 10 } } }
sinks: { out: { uses: discard, inputs: [numbers], secrets: [token] } }
secrets: { token: { environment: TOKEN } }
`,
    );
    scenario.env.TOKEN = "of-the-sink";
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    const controlPlane = `flowctl_${scenario.name}_control-plane`;
    const access = `flowctl_${scenario.name}_engine-access`;
    const victim = `${scenario.name}-victim`;

    // Who has the engine, and what else.
    const unprivileged = { user: 10001, capabilities: "0".repeat(16), root: "EROFS" };
    expect(await inspect(controlPlane, "{{json .HostConfig.Mounts}} {{json .HostConfig.Binds}}")).not.toContain("sock");
    expect(await lookInto(controlPlane)).toMatchObject({ ...unprivileged, engine: "ENOENT", shared: "EROFS" });
    expect(await inspect(access, "{{.HostConfig.NetworkMode}}")).toBe("none");
    expect(await lookInto(access)).toMatchObject({ ...unprivileged, engine: "reached", networks: ["lo"] });
    expect((await scenario.instances()).map(({ instance }) => instance).sort()).toEqual([
      "control-plane",
      "numbers-1",
      "out-1",
    ]);

    // Containers of another pipeline and of none, which whoever has taken the control plane over asks for.
    const labels = { pipeline: "another", key: "component/victim-1", kind: "component", owner: "victim", index: "1" };
    const foreign = Object.entries(labels).flatMap(([name, value]) => ["--label", `dev.flowctl.${name}=${value}`]);
    try {
      await docker("create", "--name", victim, ...foreign, `flowctl:${packageVersion()}`);
      const driver = engineAccessDriver(`/proc/${await pidOf(access)}/root/var/lib/flowctl/engine-access.sock`);
      const all = [controlPlane, access, victim, `${scenario.name}-numbers-1`, `${scenario.name}-out-1`];
      const before = await stateOf(...all);
      try {
        const context = { pipeline: "another", signal: never, progress: () => undefined };
        const seen = await driver.observe("another", never);
        expect(seen.map(({ key }) => key).sort()).toEqual([
          "component/numbers-1",
          "component/out-1",
          "control-plane/1",
        ]);
        for (const asked of [
          change("start", "component", "victim"),
          change("start", "component", victim),
          change("stop", "component", "engine-access"),
          change("stop", "control-plane", "control-plane"),
          change("restart", "service", "numbers"),
        ]) {
          await expect(driver.apply(asked, context)).rejects.toMatchObject({ code: /docker\/(not-found|bad-request)/ });
        }
      } finally {
        driver.close();
      }
      expect(await stateOf(...all)).toBe(before);
    } finally {
      await docker("rm", "-f", victim);
    }

    // It is killed and comes back; what happens from then on the control plane hears through it.
    const startedAt = await inspect(access, "{{.State.StartedAt}}");
    process.kill(Number(await pidOf(access)), "SIGKILL");
    await eventually("it is started again", async () => {
      const now = await inspect(access, "{{.State.StartedAt}} {{.State.Running}}");
      return !now.startsWith(startedAt) && now.endsWith("true");
    });
    await eventually("the control plane follows it again", async () =>
      (await logOf(controlPlane)).includes("the driver answers again"),
    );
    process.kill(Number(await pidOf(`${scenario.name}-out-1`)), "SIGKILL");
    await eventually("the control plane was told", async () =>
      (await scenario.flowctl("events", "--json")).stdout.includes("exited with code 137"),
    );
    expect((await logOf(controlPlane)).match(/lost the event stream/g)).toHaveLength(1);

    // Removed by hand it does not come back by itself: whoever looks is told, and what makes it again.
    const sees = async (): Promise<readonly string[]> => {
      const { troubles } = JSON.parse((await scenario.flowctl("status", "--json")).stdout);
      return (troubles as { instance: string; state: string }[]).map((one) => `${one.instance} ${one.state}`);
    };
    await eventually("all is well", async () => (await sees()).length === 0);
    await docker("rm", "-f", access);
    expect(await sees()).toEqual(["engine-access missing"]);
    const doctor = await scenario.flowctl("doctor", scenario.name);
    expect(doctor.stdout).toMatch(/problem +engine-access: is missing: .*\n +fix: Create it again with `flowctl up -d/);
    // What exits meanwhile Docker starts again: nobody has seen the end of the program before, whose place it takes at once.
    const sink = `${scenario.name}-out-1`;
    const ended = await inspect(sink, "{{.RestartCount}} {{.State.StartedAt}}");
    const restarts = async (): Promise<number | undefined> =>
      (await scenario.instances()).find(({ instance }) => instance === "out-1")?.restarts;
    const before = (await restarts()) ?? 0;
    process.kill(Number(await pidOf(sink)), "SIGKILL");
    await eventually("its successor has registered", async () => (await restarts()) === before + 1);
    const [count = "", since = ""] = (await inspect(sink, "{{.RestartCount}} {{.State.StartedAt}}")).split(" ");
    expect(Number(count)).toBe(Number(ended.split(" ")[0]) + 1);
    expect((await run("docker", ["logs", "--since", since, sink])).stderr).not.toContain("instance-alive");
    expect(await sees()).toEqual(["engine-access missing"]);
    await scenario.succeed("up", "-d");
    expect(await sees()).toEqual([]);

    // The control plane removed by hand takes the key of the secrets' hashes along, which the engine access has as well: nothing has changed.
    const components = [`${scenario.name}-numbers-1`, `${scenario.name}-out-1`];
    const untouched = await stateOf(...components);
    await docker("rm", "-f", controlPlane);
    await scenario.succeed("up", "-d");
    expect(await stateOf(...components)).toBe(untouched);
    // Where both are gone nobody can tell.
    await docker("rm", "-f", controlPlane, access);
    expect((await scenario.flowctl("up", "--dry-run")).stdout).toContain("secrets cannot be compared");

    await scenario.succeed("down", "-v");
    const label = `label=dev.flowctl.pipeline=${scenario.name}`;
    for (const list of [
      ["ps", "-aq"],
      ["volume", "ls", "-q"],
      ["network", "ls", "-q"],
    ]) {
      expect(await docker(...list, "--filter", label)).toBe("");
    }
    scenario.passed();
  }, 300_000);
});

const logOf = async (container: string): Promise<string> => (await run("docker", ["logs", container])).stderr;
const pidOf = (container: string): Promise<string> => inspect(container, "{{.State.Pid}}");

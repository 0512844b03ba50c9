import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { packageVersion } from "../../src/foundation/package-root.ts";
import { buildProgram, eventually, Scenario } from "./checks.ts";
import { driversUnderTest } from "./drivers-under-test.ts";

const run = promisify(execFile);

async function docker(...args: string[]): Promise<string> {
  return (await run("docker", args)).stdout.trim();
}

/** Ends a container's program as a crash would: an engine's own kill would count as asked for. */
async function crash(container: string): Promise<void> {
  const pid = Number(await docker("inspect", "-f", "{{.State.Pid}}", container));
  if (pid > 0) process.kill(pid, "SIGKILL");
}

/** Takes ever more memory. */
const eater = "const all = []; setInterval(() => all.push(Buffer.alloc(8e6, 1)), 20)";

const count = 900;
const numbers = `
sources: { numbers: { uses: generator, with: { count: ${count}, rate: 15 } } }
sinks: { archive: { uses: file, inputs: [numbers], with: { path: ./out/numbers.jsonl } } }
`;

/** A pipeline that runs until it is stopped, and a service that is a Node.js program. */
const withService = (program: string, settings: string): string => `
sources: { numbers: { uses: generator, with: { rate: 10 } } }
sinks: { out: { uses: discard, inputs: [numbers] } }
services:
  db:
    image: "flowctl:${packageVersion()}"
    entrypoint: [node, -e, ${JSON.stringify(program)}]
    ${settings}
`;

async function messages(scenario: Scenario, type: string): Promise<readonly string[]> {
  const { code, stdout } = await scenario.flowctl("events", "--json");
  if (code !== 0) return [];
  const all = stdout.split("\n").filter((line) => line !== "");
  return all
    .map((line) => JSON.parse(line) as { readonly type: string; readonly instanceId: string; readonly message: string })
    .filter((event) => event.type === type)
    .map(({ instanceId, message }) => `${instanceId} ${message}`);
}

/** What `wait` says of a pipeline that fails, and that `status` explains it in one screen. */
async function failed(scenario: Scenario): Promise<{ readonly said: string; readonly status: string }> {
  const { code, stderr } = await scenario.flowctl("wait", "--timeout", "120");
  expect(code, stderr).toBe(1);
  const status = await scenario.succeed("status");
  expect(status.split("\n").length).toBeLessThan(24);
  return { said: stderr, status };
}

async function numbersOf(scenario: Scenario): Promise<readonly number[]> {
  const lines = await scenario.lines("out/numbers.jsonl");
  return lines.map((line) => (JSON.parse(line) as { sequence: number }).sequence).sort((a, b) => a - b);
}

beforeAll(buildProgram);

describe.skipIf(!driversUnderTest().includes("docker"))("on Docker", { concurrent: true }, () => {
  it("a component that runs out of memory is named with its limit, and is given up in the end", async () => {
    await using scenario = await Scenario.on(
      "docker",
      `
sources:
  greedy:
    image: "flowctl:${packageVersion()}"
    entrypoint: [node, -e, ${JSON.stringify(eater)}]
    restart: "on-failure:1"
    deploy: { resources: { limits: { memory: 64M } } }
sinks: { out: { uses: discard, inputs: [greedy] } }
`,
    );
    await scenario.succeed("up", "-d");
    const { said, status } = await failed(scenario);
    expect(said).toContain("exited with code 137: out of memory, limit 64M");
    expect(status).toMatch(/greedy-1 is failed.*exited with code 137: out of memory, limit 64M/);
    scenario.passed();
  });

  it("a component that loses its network is named with that, restarted with it, and nothing is lost", async () => {
    await using scenario = await Scenario.on("docker", numbers);
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    const ref = (await scenario.refs())["archive-1"] ?? "";
    const network = `flowctl_${scenario.name}`;
    await docker("network", "disconnect", network, ref);
    const restart = await eventually(
      "a restart",
      async () => (await messages(scenario, "instance.supervised"))[0],
      120_000,
    );
    expect(restart).toContain(
      `archive-1 restart: not responding: no heartbeat for 30 s, disconnected from the network ${network}`,
    );
    await scenario.succeed("wait", "--timeout", "150");
    expect(await numbersOf(scenario)).toEqual(Array.from({ length: count }, (_, index) => index + 1));
    scenario.passed();
  }, 300_000);

  it("a control plane that loses its network gets it back, and takes nobody else for dead", async () => {
    await using scenario = await Scenario.on("docker", numbers);
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    const ref = (await scenario.refs())["control-plane"] ?? `flowctl_${scenario.name}_control-plane`;
    const network = `flowctl_${scenario.name}`;
    await docker("network", "disconnect", network, ref);
    await eventually("it is connected again", async () =>
      (await docker("inspect", "-f", "{{json .NetworkSettings.Networks}}", ref)).includes(`"${network}"`),
    );
    await scenario.succeed("wait", "--timeout", "150");
    expect(await numbersOf(scenario)).toEqual(Array.from({ length: count }, (_, index) => index + 1));
    expect((await scenario.instances()).map(({ restarts }) => restarts).filter((restarts) => restarts > 0)).toEqual([]);
    scenario.passed();
  }, 300_000);

  it("a service that crashes is started again by its policy, and fails the pipeline when that is used up", async () => {
    await using scenario = await Scenario.on(
      "docker",
      withService(
        "console.log('ready to serve'); setInterval(() => {}, 1000)",
        // The image has the health check of components, which would never pass.
        'restart: "on-failure:1"\n    healthcheck: { disable: true }',
      ),
    );
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    const container = `${scenario.name}-db-1`;
    const startedAt = () => docker("inspect", "-f", "{{.State.StartedAt}} {{.State.Running}}", container);
    const first = await startedAt();
    await crash(container);
    await eventually("it runs again", async () => {
      const now = await startedAt();
      return now !== first && now.endsWith("true");
    });
    expect(await messages(scenario, "service.exited")).toEqual(["db-1 exited with code 137"]);
    await crash(container);
    const { said, status } = await failed(scenario);
    expect(said).toMatch(
      /service db-1 is failed: exited with code 137; gave up after 2 failures in a row, last log line: ready/,
    );
    expect(status).toContain("service db-1 is failed");
    scenario.passed();
  });

  it("a service that runs out of memory is named with its limit", async () => {
    await using scenario = await Scenario.on(
      "docker",
      withService(eater, "deploy: { resources: { limits: { memory: 96M } } }"),
    );
    await scenario.flowctl("up", "-d");
    const { said } = await failed(scenario);
    expect(said).toContain("service db-1 is failed: exited with code 137: out of memory, limit 96M");
    scenario.passed();
  });

  it("a service that is not healthy any more degrades the pipeline, is restarted, and is well again", async () => {
    const sick = "setInterval(() => {}, 1000)";
    await using scenario = await Scenario.on(
      "docker",
      withService(
        sick,
        `restart: always
    healthcheck: { test: [CMD, node, -e, "process.exit(fs.existsSync('/tmp/sick') ? 1 : 0)"], interval: 1s, retries: 2 }
    tmpfs: [/tmp]`,
      ),
    );
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    await docker("exec", `${scenario.name}-db-1`, "node", "-e", "fs.writeFileSync('/tmp/sick', '')");
    await eventually("it is said", async () =>
      (await scenario.flowctl("status")).stdout.includes("service db-1 is unhealthy: the health check is failing"),
    );
    await eventually(
      "it is restarted",
      async () =>
        (await messages(scenario, "service.supervised")).includes("db-1 restart: the health check is failing"),
      90_000,
    );
    await eventually("all is well", async () => /^\S+ running/.test((await scenario.flowctl("status")).stdout));
    await scenario.succeed("stop");
    expect(await messages(scenario, "pipeline.state")).not.toContain(expect.stringContaining("failed"));
    scenario.passed();
  }, 300_000);
});

import { readFile, stat } from "node:fs/promises";
import { Client, Metadata, type StatusObject, status } from "@grpc/grpc-js";
import { beforeAll, describe, expect, it } from "vitest";
import { connectControlPlane } from "../../src/client/control-plane-client.ts";
import { testAuthority, testSource } from "../../src/identity/identity.fake.ts";
import { channelCredentials } from "../../src/identity/tls-credentials.ts";
import { SUBSCRIBE_PATH } from "../../src/protocol/stream-codec.ts";
import { buildProgram, eventually, Scenario } from "./checks.ts";
import { driversUnderTest } from "./drivers-under-test.ts";
import { runWell } from "./run-program.ts";

const PIPELINE = `
sources:
  numbers: { uses: generator, with: { rate: 100 } }
sinks:
  archive: { uses: file, inputs: [numbers], with: { path: ./out/numbers.jsonl } }
`;

beforeAll(buildProgram);

/** Where an instance listens, by what for. */
async function addressOf(scenario: Scenario, instance: string, what: string): Promise<string> {
  const found = (await scenario.instances()).find((one) => one.instance === instance);
  const port = found?.ports.find((text) => text.endsWith(`->${what}`));
  if (port === undefined) throw new Error(`${instance} has no ${what} port`);
  return port.slice(0, -`->${what}`.length);
}

/** Ends the program of an instance as a crash would. */
async function crash(scenario: Scenario, instance: string): Promise<void> {
  const ref = (await scenario.refs())[instance] ?? "";
  if (scenario.driver === "process") return void process.kill(Number(ref), "SIGKILL");
  const { stdout } = await runWell("docker", ["inspect", "--format", "{{.State.Pid}}", ref]);
  process.kill(Number(stdout), "SIGKILL");
}

describe.concurrent.each(driversUnderTest())("on %s", (driver) => {
  it("nobody reaches the control plane without a certificate or a token of the pipeline, and whoever runs it or is granted access does", async () => {
    await using scenario = await Scenario.on(driver, PIPELINE);
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    const address = await addressOf(scenario, "control-plane", "grpc");
    const foreign = await testSource(await testAuthority(scenario.name), { role: "operator", pipeline: scenario.name });
    for (const identity of [undefined, foreign]) {
      const client = connectControlPlane(address, identity);
      await expect(client.getPipeline(AbortSignal.timeout(10_000))).rejects.toMatchObject({
        code: "client/unreachable",
      });
      client.close();
    }
    expect(await scenario.succeed("status")).toContain("running");
    // Over HTTP, and of who was granted access, until it is revoked.
    const http = `http://${await addressOf(scenario, "control-plane", "http")}`;
    const ask = async (path: string, headers: Readonly<Record<string, string>> = {}): Promise<number> =>
      (await fetch(http + path, { headers, redirect: "manual", signal: AbortSignal.timeout(10_000) })).status;
    const bearer = (token: string) => ({ authorization: `Bearer ${token.trim()}` });
    expect([await ask("/health"), await ask("/metrics"), await ask("/api/pipeline")]).toEqual([200, 200, 401]);
    const file = (await scenario.succeed("access", "grant", "anna")).trim();
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const { token } = JSON.parse(await readFile(file, "utf8")) as { readonly token: string };
    expect(await ask("/api/pipeline", bearer(token))).toBe(200);
    const anna = ["--access", file] as const;
    expect(await scenario.succeed(...anna, "status")).toContain("running");
    const refused = await scenario.flowctl(...anna, "down");
    expect([refused.code, refused.stderr]).toEqual([4, expect.stringContaining("identity/not-permitted")]);
    const url = (await scenario.succeed("access", "url")).trim();
    expect(url.startsWith(`${http}/login/`)).toBe(true);
    expect([await ask(url.slice(http.length)), await ask(url.slice(http.length))]).toEqual([303, 401]);
    const owner = await scenario.succeed("access", "token");
    expect(await ask("/api/pipeline", bearer(owner))).toBe(200);
    await scenario.succeed("access", "rotate");
    expect(await ask("/api/pipeline", bearer(owner))).toBe(401);
    expect(await ask("/api/pipeline", bearer(await scenario.succeed("access", "token")))).toBe(200);
    if (driver === "docker") {
      // One that was lost is made anew, where the control plane finds it.
      const remove = "fs.rmSync('/var/lib/flowctl/identity/operator.pem')";
      await runWell("docker", ["exec", `flowctl_${scenario.name}_control-plane`, "node", "-e", remove]);
      expect(await scenario.succeed("status")).toContain("running");
    }
    await scenario.succeed("access", "revoke", "anna");
    expect(await ask("/api/pipeline", bearer(token))).toBe(401);
    const revoked = await scenario.flowctl(...anna, "status");
    expect([revoked.code, revoked.stderr]).toEqual([4, expect.stringContaining("identity/revoked")]);
    scenario.passed();
  });

  it("an instance whose program is killed joins again, as often as it is started", async () => {
    await using scenario = await Scenario.on(driver, PIPELINE);
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    for (let round = 1; round <= 3; round++) {
      for (const instance of ["numbers-1", "archive-1"]) {
        const before = (await scenario.lines("out/numbers.jsonl")).length;
        await crash(scenario, instance);
        await eventually(`events after ${instance} was killed`, async () => {
          const { state, restarts } = (await scenario.instances()).find((one) => one.instance === instance) ?? {};
          const lines = (await scenario.lines("out/numbers.jsonl")).length;
          return state === "healthy" && (restarts ?? 0) >= round && lines > before;
        });
      }
    }
    // What is asked for gives it another certificate to join with, whatever became of the one before.
    for (const commands of [["restart"], ["stop", "start"]]) {
      for (const command of commands) await scenario.succeed(command);
      const before = (await scenario.lines("out/numbers.jsonl")).length;
      await eventually(`events after ${commands.join(" and ")}`, async () => {
        const instances = (await scenario.instances()).filter(({ instance }) => instance !== "control-plane");
        const lines = (await scenario.lines("out/numbers.jsonl")).length;
        return instances.every(({ state }) => state === "healthy") && lines > before;
      });
    }
    scenario.passed();
  });
});

it("a component's port is served to nobody without a certificate of the pipeline", async () => {
  await using scenario = await Scenario.on("process", PIPELINE);
  await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
  const address = await addressOf(scenario, "numbers-1", "stream");
  const meant = { role: "component", pipeline: scenario.name, component: "numbers", instance: "numbers-1" } as const;
  const client = new Client(address, channelCredentials(undefined, meant));
  const same = (message: Buffer): Buffer => message;
  const call = client.makeBidiStreamRequest<Buffer, Buffer>(SUBSCRIBE_PATH, same, same, new Metadata());
  call.on("error", () => undefined);
  const code = await new Promise((resolve) => call.once("status", (end: StatusObject) => resolve(end.code)));
  client.close();
  expect(code).toBe(status.UNAVAILABLE);
  scenario.passed();
});

it.skipIf(!driversUnderTest().includes("docker"))(
  "a pipeline whose control plane somebody removed with its volume comes up again, and stays as it is then",
  async () => {
    await using scenario = await Scenario.on("docker", PIPELINE);
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    const controlPlane = `flowctl_${scenario.name}_control-plane`;
    await runWell("docker", ["rm", "-f", "-v", controlPlane]);
    await runWell("docker", ["volume", "rm", controlPlane]);
    await scenario.succeed("up", "-d", "--wait", "--timeout", "120");
    const before = (await scenario.lines("out/numbers.jsonl")).length;
    await eventually("events", async () => (await scenario.lines("out/numbers.jsonl")).length > before);
    expect(JSON.parse(await scenario.succeed("up", "--dry-run", "--json"))).toMatchObject({ changes: [] });
    scenario.passed();
  },
);

describe("--insecure", () => {
  it("lets everybody speak in the clear on processes, and says so", async () => {
    await using scenario = await Scenario.on("process", PIPELINE);
    const { code, stderr } = await scenario.flowctl("up", "-d", "--wait", "--insecure", "--timeout", "90");
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/^warning: --insecure: whoever can connect/m);
    const client = connectControlPlane(await addressOf(scenario, "control-plane", "grpc"));
    expect((await client.getPipeline(AbortSignal.timeout(10_000))).name).toBe(scenario.name);
    client.close();
    // Without it everything is replaced: who speaks in the clear and who does not do not speak to each other.
    const { changes } = JSON.parse(await scenario.succeed("up", "--dry-run", "--json"));
    const described = changes.map(
      ({ action, resource }: Record<"action" | "resource", string>) => `${action} ${resource}`,
    );
    expect(described).toEqual([
      "stop component/numbers-1",
      "stop component/archive-1",
      "replace control-plane/1",
      "replace component/archive-1",
      "replace component/numbers-1",
    ]);
    scenario.passed();
  });

  it("can be given and taken back while events flow: none is lost, and none comes again", async () => {
    await using scenario = await Scenario.on(
      "process",
      `
sources:
  numbers: { uses: generator, with: { count: 3000, rate: 300 } }
processors:
  passed: { uses: filter, inputs: [numbers], with: { where: payload.sequence > 0 } }
sinks:
  shown: { uses: stdout, inputs: [passed] }
`,
    );
    // It remembers nothing: what comes again is there twice.
    const shown = async (): Promise<number[]> =>
      [...(await scenario.succeed("logs", "shown")).matchAll(/"sequence":\s?(\d+)/g)].map(([, number]) =>
        Number(number),
      );
    await scenario.succeed("up", "-d");
    for (const [toggle, ...flags] of [[1, "--insecure"], [2], [3, "--insecure"], [4]] as const) {
      await eventually(`events before change ${toggle}`, async () => (await shown()).length >= toggle * 400);
      await scenario.succeed("up", "-d", ...flags);
    }
    await scenario.succeed("wait", "--timeout", "120");
    expect((await shown()).sort((a, b) => a - b)).toEqual(Array.from({ length: 3000 }, (_, i) => i + 1));
    scenario.passed();
  }, 300_000);

  it.skipIf(!driversUnderTest().includes("docker"))(
    "is refused where more than this machine is listened to",
    async () => {
      await using scenario = await Scenario.on("docker", PIPELINE);
      const { code, stderr } = await scenario.flowctl("up", "-d", "--insecure");
      expect(code).toBe(3);
      expect(stderr).toContain("cli/insecure-refused");
      expect(await scenario.leftovers()).toEqual([]);
      scenario.passed();
    },
  );
});

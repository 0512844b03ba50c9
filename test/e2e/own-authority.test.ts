import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { connect } from "node:tls";
import { beforeAll, describe, expect, it } from "vitest";
import { connectControlPlane } from "../../src/client/control-plane-client.ts";
import { createAuthority, openAuthority } from "../../src/identity/authority.ts";
import { type TestCompanyAuthority, testCompanyAuthority } from "../../src/identity/given-authority.fake.ts";
import { readGivenAuthority } from "../../src/identity/given-authority.ts";
import { testSource } from "../../src/identity/identity.fake.ts";
import { buildProgram, eventually, Scenario } from "./checks.ts";
import { driversUnderTest } from "./drivers-under-test.ts";

const PIPELINE = `
sources:
  numbers: { uses: generator, with: { rate: 100 } }
sinks:
  archive: { uses: file, inputs: [numbers], with: { path: ./out/numbers.jsonl } }
`;

beforeAll(buildProgram);

async function controlPlaneOf(scenario: Scenario): Promise<string> {
  const { ports = [] } = (await scenario.instances()).find(({ instance }) => instance === "control-plane") ?? {};
  return ports.find((text) => text.endsWith("->grpc"))?.slice(0, -"->grpc".length) ?? "";
}

/** Whether somebody outside the pipeline, who trusts `authority` and nothing else, believes its control plane. */
async function isBelieved(scenario: Scenario, authority: TestCompanyAuthority): Promise<boolean> {
  const [host = "", port = ""] = (await controlPlaneOf(scenario)).split(":");
  return new Promise((resolve, reject) => {
    const ca = authority.chain.at(-1)!;
    const options = { host, port: Number(port), ca, servername: "control-plane", rejectUnauthorized: false };
    const socket = connect({ ...options, ALPNProtocols: ["h2"] }, () => {
      resolve(socket.authorized);
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

async function flows(scenario: Scenario): Promise<void> {
  const before = (await scenario.lines("out/numbers.jsonl")).length;
  await eventually("events", async () => (await scenario.lines("out/numbers.jsonl")).length > before);
}

describe.concurrent.each(driversUnderTest())("on %s, an authority of one's own", (driver) => {
  it("signs the pipeline's, until another one is given, and lets no other pipeline in", async () => {
    await using scenario = await Scenario.on(driver, PIPELINE);
    const root = testCompanyAuthority({ key: "rsa" });
    const acme = testCompanyAuthority({ name: "Acme Streams", issuer: root });
    const other = testCompanyAuthority({ name: "Other Root" });
    for (const [name, { file }] of Object.entries({ acme, other })) {
      await writeFile(join(scenario.folder, `${name}.pem`), file, { mode: 0o600 });
    }
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90", "--authority", "acme.pem");
    await flows(scenario);
    expect(await isBelieved(scenario, acme)).toBe(true);
    expect(await isBelieved(scenario, other)).toBe(false);

    // As another pipeline of that name would have it, somewhere else, by the same authority.
    const given = readGivenAuthority(acme.file, "acme.pem", scenario.name, Date.now());
    const elsewhere = openAuthority(scenario.name, await createAuthority(scenario.name, given));
    const stranger = await testSource(elsewhere, { role: "operator", pipeline: scenario.name });
    const client = connectControlPlane(await controlPlaneOf(scenario), stranger);
    await expect(client.getPipeline(AbortSignal.timeout(10_000))).rejects.toMatchObject({ code: "client/unreachable" });
    client.close();

    for (const again of [[], ["--authority", "acme.pem"]])
      expect(await scenario.succeed("up", "--dry-run", ...again)).not.toContain("identity changed");

    const before = await scenario.refs();
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90", "--authority", "other.pem");
    const after = await scenario.refs();
    expect(Object.keys(after).toSorted()).toEqual(Object.keys(before).toSorted());
    for (const [instance, ref] of Object.entries(after)) expect(ref, instance).not.toBe(before[instance]);
    await flows(scenario);
    expect([await isBelieved(scenario, acme), await isBelieved(scenario, other)]).toEqual([false, true]);
    scenario.passed();
  });

  it("that cannot sign it is refused before anything is started, and one that soon cannot is told of", async () => {
    await using scenario = await Scenario.on(driver, PIPELINE);
    const hour = 3_600_000;
    const files = {
      expired: testCompanyAuthority({ expires: new Date(Date.now() - hour) }),
      short: testCompanyAuthority({ pathLength: 0 }),
      ending: testCompanyAuthority({ expires: new Date(Date.now() + hour) }),
    };
    for (const [name, { file }] of Object.entries(files)) await writeFile(join(scenario.folder, `${name}.pem`), file);
    for (const [name, code] of [
      ["expired", "authority/not-valid"],
      ["short", "authority/path-length"],
      ["missing", "cli/authority-file"],
    ] as const) {
      const { code: exit, stderr } = await scenario.flowctl("up", "-d", "--authority", `${name}.pem`);
      expect(exit).not.toBe(0);
      expect(stderr).toContain(code);
      expect(stderr).toContain(`${name}.pem`);
    }
    expect(await scenario.refs()).toEqual({});
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90", "--authority", "ending.pem");
    expect(await scenario.succeed("status")).toMatch(/authority: the one that signs the pipeline's expires at /);
    await eventually("a warning of the control plane", async () =>
      (await scenario.succeed("logs", "control-plane")).includes("is about to expire"),
    );
    scenario.passed();
  });
});

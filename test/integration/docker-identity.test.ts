import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Deployment, ResourceKey } from "../../src/drivers/driver.ts";
import { docker, fixture } from "../conformance/docker-fixture.ts";
import { component, deploymentOf, inOrder, pipelineOf, STAYS } from "../conformance/driver-pipelines.ts";
import { World } from "../conformance/driver-world.ts";

beforeAll(() => fixture.setUp());
afterAll(() => fixture.tearDown());

const INSTANCE = "component/a-1";
/** Says which joining certificate it was started with. */
const TELLS = `
  const { readFileSync } = require("node:fs");
  const { createHash } = require("node:crypto");
  console.log("joins with " + createHash("sha256").update(readFileSync(process.env.FLOWCTL_TLS_KEY)).digest("hex"));${STAYS}`;
const deploymentIn = (world: World): Deployment =>
  deploymentOf(pipelineOf(world.name, [component("a", TELLS, { ...fixture.settings, restart: { name: "always" } })]));

const controlPlaneOf = ({ name }: World): string => `flowctl_${name}_control-plane`;
const fileIn = (world: World, name: string): string => `${controlPlaneOf(world)}:/var/lib/flowctl/identity/${name}`;
const joinedWith = async (world: World): Promise<readonly string[]> =>
  (await world.logs({ select: ["a-1"] })).map(({ text }) => text).filter((text) => text.startsWith("joins with "));

/** What a plan would change. */
async function differing(world: World, deployment: Deployment): Promise<readonly ResourceKey[]> {
  const observed = new Map((await world.observe()).map((resource) => [resource.key, resource]));
  const desired = await world.prepare(deployment, fixture.connect());
  return desired.filter(({ key, hash }) => observed.get(key)?.hash !== hash).map(({ key }) => key);
}

/** Makes what is missing, and what differs, as a plan of another command would. */
async function change(world: World, deployment: Deployment): Promise<readonly ResourceKey[]> {
  const driver = fixture.connect();
  const observed = new Map((await world.observe()).map((resource) => [resource.key, resource]));
  const context = { pipeline: world.name, deployment, signal: world.signal, progress: () => undefined };
  const changed: ResourceKey[] = [];
  for (const resource of inOrder(await world.prepare(deployment, driver))) {
    const there = observed.get(resource.key);
    if (there?.hash === resource.hash) continue;
    changed.push(resource.key);
    if (there === undefined) await driver.apply({ action: "create", resource, cause: "new" }, context);
    else await driver.apply({ action: "replace", resource, observed: there, cause: "changed" }, context);
  }
  return changed;
}

/** Leaves so many bytes of a file of the identity. */
async function truncate(world: World, name: string, bytes: number): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "flowctl-truncated-"));
  try {
    await docker("cp", fileIn(world, name), join(folder, name));
    await writeFile(join(folder, name), (await readFile(join(folder, name))).subarray(0, bytes));
    await docker("cp", join(folder, name), fileIn(world, name));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What an instance trusts, and who the authority is. */
async function isTrusted(world: World): Promise<boolean> {
  const cat = (ref: string) => docker("cp", ref, "-");
  const authority = await cat(fileIn(world, "authority.pem"));
  const trusted = await cat(`${world.name}-a-1:/run/flowctl/identity/ca.pem`);
  const certificate = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(trusted)?.[0];
  return certificate !== undefined && authority.includes(certificate);
}

describe("what an instance joins with", () => {
  it("is another one at each start that is asked for, and is left alone when the engine starts it again", async () => {
    await using world = new World(fixture);
    await world.up(deploymentIn(world));
    await world.untilUp("a-1");
    await fixture.crash(await world.find(INSTANCE));
    await world.untilUp("a-1", 2);
    await world.apply({ action: "stop", observed: await world.find(INSTANCE), cause: "asked" });
    await world.apply({ action: "start", observed: await world.find(INSTANCE), cause: "asked" });
    await world.untilUp("a-1", 3);
    await world.apply({ action: "restart", observed: await world.find(INSTANCE), cause: "asked" });
    await world.untilUp("a-1", 4);
    // One that runs goes on with what it has.
    await world.apply({ action: "start", observed: await world.find(INSTANCE), cause: "asked" });
    const [first, crashed, started, restarted] = await joinedWith(world);
    expect(crashed).toBe(first);
    expect(new Set([first, started, restarted]).size).toBe(3);
    const archive = await docker("cp", `${world.name}-a-1:/run/flowctl/identity/joining.pem`, "-");
    const [file = ""] = /-----BEGIN CERT.*PRIVATE KEY-----\n/s.exec(archive) ?? [];
    expect(restarted).toBe(`joins with ${createHash("sha256").update(file).digest("hex")}`);
  });

  it("is missed with the control plane: what runs is not stopped then, and what is stopped not started", async () => {
    await using world = new World(fixture);
    await world.up(deploymentIn(world));
    const observed = await world.find(INSTANCE);
    await docker("rm", "-f", "-v", controlPlaneOf(world));
    const missing = { code: "identity/missing", fix: expect.stringContaining(`flowctl up -d -p ${world.name}`) };
    await expect(world.apply({ action: "restart", observed, cause: "asked" })).rejects.toMatchObject(missing);
    expect((await world.find(INSTANCE)).state).toMatchObject({ status: "running" });
    await world.apply({ action: "stop", observed, cause: "asked" });
    await expect(world.apply({ action: "start", observed, cause: "asked" })).rejects.toMatchObject(missing);
    expect((await world.find(INSTANCE)).state).toMatchObject({ status: "exited" });
  });

  it("may be missing in a container that was made and never started, which is therefore made anew", async () => {
    await using world = new World(fixture);
    const deployment = deploymentIn(world);
    await world.up(deployment);
    const name = `${world.name}-a-1`;
    const labels = JSON.parse(await docker("inspect", "-f", "{{json .Config.Labels}}", name)) as Record<string, string>;
    const image = await docker("inspect", "-f", "{{.Image}}", name);
    await docker("rm", "-f", "-v", name);
    const options = Object.entries(labels).flatMap(([label, value]) => ["--label", `${label}=${value}`]);
    await docker("create", "--name", name, ...options, image);
    const observed = await world.find(INSTANCE);
    expect(observed.state.status).toBe("created");
    for (const action of ["start", "restart"] as const) {
      await expect(world.apply({ action, observed, cause: "asked" })).rejects.toMatchObject({
        code: "docker/half-made",
      });
    }
    expect(await change(world, deployment)).toEqual([INSTANCE]);
    await world.untilUp("a-1");
  });
});

describe("the authority of a pipeline", () => {
  it.each([
    [
      "is gone with the volume of the control plane",
      async (world: World) => {
        await docker("rm", "-f", "-v", controlPlaneOf(world));
        await docker("volume", "rm", controlPlaneOf(world));
      },
    ],
    ["is empty", (world: World) => truncate(world, "authority.pem", 0)],
    ["is cut off", (world: World) => truncate(world, "authority.pem", 100)],
  ])("is made anew, and whatever trusts the former one with it, when it %s", async (_, lose) => {
    await using world = new World(fixture);
    const deployment = deploymentIn(world);
    await world.up(deployment);
    await lose(world);
    // Who only looks changes nothing.
    expect(await differing(world, deployment)).toEqual(expect.arrayContaining(["control-plane/1", INSTANCE]));
    expect(await differing(world, deployment)).toEqual(expect.arrayContaining(["control-plane/1", INSTANCE]));
    await change(world, deployment);
    expect(await isTrusted(world)).toBe(true);
    expect(await differing(world, deployment)).toEqual([]);
    expect(await world.driver.controlPlane(world.name, world.signal)).toHaveProperty("identity");
  });

  it("stays when only the container of the control plane is gone, or the operator is damaged", async () => {
    await using world = new World(fixture);
    const deployment = deploymentIn(world);
    await world.up(deployment);
    await truncate(world, "operator.pem", 100);
    expect(await world.driver.controlPlane(world.name, world.signal)).toHaveProperty("identity");
    expect(await differing(world, deployment)).toEqual([]);
    await docker("rm", "-f", "-v", controlPlaneOf(world));
    expect(await change(world, deployment)).toEqual(["control-plane/1"]);
    expect(await isTrusted(world)).toBe(true);
    expect(await differing(world, deployment)).toEqual([]);
  });

  it("is the one that everything trusts after everything but volumes was removed and made again", async () => {
    await using world = new World(fixture);
    const deployment = deploymentIn(world);
    await world.up(deployment);
    for (const key of [INSTANCE, "control-plane/1"] as const) {
      await world.apply({ action: "remove", observed: await world.find(key), cause: "down" }, undefined, true);
    }
    await change(world, deployment);
    expect(await isTrusted(world)).toBe(true);
    expect(await differing(world, deployment)).toEqual([]);
  });

  it("is found to be lost when the control plane is made again, whose volume nobody could look into", async () => {
    await using world = new World(fixture);
    const deployment = deploymentIn(world);
    await world.up(deployment);
    await truncate(world, "authority.pem", 0);
    await docker("rm", "-f", "-v", controlPlaneOf(world));
    await expect(change(world, deployment)).rejects.toMatchObject({ code: "docker/other-authority" });
    expect(await differing(world, deployment)).toEqual(["control-plane/1", INSTANCE]);
    await change(world, deployment);
    expect(await isTrusted(world)).toBe(true);
    expect(await differing(world, deployment)).toEqual([]);
  });
});

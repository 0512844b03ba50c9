import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createDockerDriver } from "../../src/drivers/docker/driver.ts";
import type { ProgressEvent } from "../../src/drivers/driver.ts";
import { docker, fixture, installation } from "../conformance/docker-fixture.ts";
import { component, deploymentOf, pipelineOf } from "../conformance/driver-pipelines.ts";
import { eventually, World } from "../conformance/driver-world.ts";
import { freePort } from "../free-port.ts";

const run = promisify(execFile);
const user = "reader";
const password = "pass:word";
let folder: string;
let registry: ChildProcess;
let host: string;
/** Of the image that is in it. */
let digest: string;

beforeAll(async () => {
  await fixture.setUp();
  folder = await mkdtemp(join(tmpdir(), "flowctl-registry-"));
  const port = await freePort();
  host = `127.0.0.1:${port}`;
  await writeFile(join(folder, "htpasswd"), (await run("htpasswd", ["-Bbn", user, password])).stdout);
  const config = {
    version: "0.1",
    storage: { filesystem: { rootdirectory: join(folder, "images") } },
    http: { addr: host },
    auth: { htpasswd: { realm: "test", path: join(folder, "htpasswd") } },
  };
  await writeFile(join(folder, "config.yml"), JSON.stringify(config));
  registry = spawn("docker-registry", ["serve", join(folder, "config.yml")], { stdio: "ignore" });
  await eventually(async () => {
    expect((await fetch(`http://${host}/v2/`, { signal: AbortSignal.timeout(2_000) })).status).toBe(401);
  });
  await writeClient("good", password);
  await writeClient("bad", "wrong");
  await mkdir(join(folder, "none"), { recursive: true });
  await docker("tag", fixture.settings.image ?? "", `${host}/acme/app:1`);
  await docker("--config", join(folder, "good"), "push", "-q", `${host}/acme/app:1`);
  const references = JSON.parse(
    await docker("inspect", "-f", "{{json .RepoDigests}}", `${host}/acme/app:1`),
  ) as string[];
  digest = references.find((reference) => reference.startsWith(host))?.split("@")[1] ?? "";
  await docker("rmi", `${host}/acme/app:1`);
});

afterAll(async () => {
  registry.kill();
  await once(registry, "exit");
  await rm(folder, { recursive: true });
  await fixture.tearDown();
});

/** A configuration of the docker client with a login at the registry. */
async function writeClient(name: string, secret: string): Promise<void> {
  await mkdir(join(folder, name), { recursive: true });
  const auth = Buffer.from(`${user}:${secret}`).toString("base64");
  await writeFile(join(folder, name, "config.json"), JSON.stringify({ auths: { [host]: { auth } } }));
}

function prepare(world: World, client: string, settings: object): Promise<ProgressEvent[]> {
  const driver = createDockerDriver({
    ...installation,
    environment: { ...process.env, DOCKER_CONFIG: join(folder, client) },
  });
  const events: ProgressEvent[] = [];
  const deployment = deploymentOf(pipelineOf(world.name, [component("a", "", settings)]));
  const options = {
    signal: world.signal,
    progress: (event: ProgressEvent) => events.push(event),
    build: false,
    dryRun: false,
  };
  return driver.prepare(deployment, options).then(() => events);
}

describe("a registry that wants a login", () => {
  it("gives an image to whoever has logged in, and progress is told", async () => {
    await using world = new World(fixture);
    const image = `${host}/acme/app:1`;
    const events = await prepare(world, "good", { image });
    expect(events.map(({ subject, text }) => `${subject} ${text}`)).toEqual(
      expect.arrayContaining([`image/${image} Pulling`, `image/${image} Pulled`]),
    );
    expect(await docker("images", "-q", image)).not.toBe("");
    await docker("rmi", image);
  });

  it("gives what is named by its content, and nothing where the content is another", async () => {
    await using world = new World(fixture);
    const image = `${host}/acme/app:1@${digest}`;
    await prepare(world, "good", { image });
    expect(await docker("inspect", "-f", "{{json .RepoDigests}}", image)).toContain(digest);
    await docker("rmi", image);
    const other = `${host}/acme/app:1@sha256:${"0".repeat(64)}`;
    await expect(prepare(world, "good", { image: other })).rejects.toMatchObject({ code: "docker/pull-failed" });
  });

  it.each([
    ["none", "docker login"],
    ["bad", "credentials"],
  ])("refuses credentials that are %s, and the error says what to do", async (client, fix) => {
    await using world = new World(fixture);
    await expect(prepare(world, client, { image: `${host}/acme/app:1` })).rejects.toMatchObject({
      code: "docker/pull-failed",
      fix: expect.stringContaining(fix),
    });
  });

  it("says of a tag that does not exist that it could not be pulled", async () => {
    await using world = new World(fixture);
    await expect(prepare(world, "good", { image: `${host}/acme/app:none` })).rejects.toMatchObject({
      code: "docker/pull-failed",
      message: expect.stringContaining(`${host}/acme/app:none`),
    });
  });

  it("gives base images to builds", async () => {
    await using world = new World(fixture);
    const dockerfileInline = `FROM ${host}/acme/app:1\nENV BUILT=1\n`;
    const rest = { args: {}, labels: {}, cacheFrom: [], noCache: false, pull: false };
    await prepare(world, "good", { build: { context: folder, dockerfileInline, ...rest } });
    expect(await docker("inspect", "-f", "{{json .Config.Env}}", `${world.name}-a`)).toContain("BUILT=1");
    await docker("rmi", `${world.name}-a`, `${host}/acme/app:1`);
  });
});

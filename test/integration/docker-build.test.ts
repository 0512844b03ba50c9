import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { ProgressEvent } from "../../src/drivers/driver.ts";
import type { Build } from "../../src/pipeline/pipeline.ts";
import { docker, fixture } from "../conformance/docker-fixture.ts";
import { component, deploymentOf, pipelineOf } from "../conformance/driver-pipelines.ts";
import { World } from "../conformance/driver-world.ts";

beforeAll(() => fixture.setUp());
afterAll(() => fixture.tearDown());

const base = fixture.settings.image ?? "";
let context: string;
beforeEach(async () => {
  context = await mkdtemp(join(tmpdir(), "flowctl-build-"));
});
afterEach(() => rm(context, { recursive: true }));

async function files(contents: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(contents)) {
    await mkdir(dirname(join(context, name)), { recursive: true });
    await writeFile(join(context, name), text);
  }
}

/** A pipeline whose one component is built from the context. */
function built(world: World, more: Partial<Build> = {}, settings = {}) {
  const build = { context, args: {}, labels: {}, cacheFrom: [], noCache: false, pull: false, ...more };
  const { command, ...rest } = component("a", "", { build, ...settings });
  return deploymentOf(pipelineOf(world.name, [rest]));
}

/** What the image of the pipeline's component says when it runs. */
async function says(world: World): Promise<string> {
  return docker("run", "--rm", `${world.name}-a`);
}

async function prepare(world: World, deployment = built(world), build = false): Promise<ProgressEvent[]> {
  const events: ProgressEvent[] = [];
  await world.driver.prepare(deployment, {
    signal: world.signal,
    progress: (event) => events.push(event),
    build,
    dryRun: false,
  });
  return events;
}

async function discard(world: World): Promise<void> {
  await docker("rmi", "-f", `${world.name}-a`);
}

describe("building an image", () => {
  const list = `CMD ["-e", "console.log(require('fs').readdirSync('/src', { recursive: true }).sort().join(' '))"]`;
  const dockerfile = `FROM ${base}\nUSER 0\nENTRYPOINT ["node"]\nCOPY . /src\n${list}\n`;

  it("takes the context without what .dockerignore leaves out, and tells of its steps", async () => {
    await using world = new World(fixture);
    await files({
      Dockerfile: dockerfile,
      ".dockerignore": "*.log\nnode_modules\n!keep.log",
      "a.txt": "a",
      "b.log": "b",
      "keep.log": "k",
    });
    await files({ "node_modules/x/index.js": "x", "src/deep/c.txt": "c" });
    const events = await prepare(world);
    expect(await says(world)).toBe(".dockerignore Dockerfile a.txt keep.log src src/deep src/deep/c.txt");
    expect(events.map(({ text }) => text)).toEqual(
      expect.arrayContaining(["Building", expect.stringContaining("COPY . /src"), "Built"]),
    );
    await discard(world);
  });

  it("honours arguments, target, labels, and a Dockerfile of another name or in the file itself", async () => {
    await using world = new World(fixture);
    const text = `
ARG BASE
FROM \${BASE} AS one
ENTRYPOINT ["node", "-e", "console.log('one')"]
FROM one AS two
ARG WORD
ENV WORD=\${WORD}
ENTRYPOINT ["node", "-e", "console.log(process.env.WORD)"]
`;
    await files({ "docker/Other": text });
    const args = { BASE: base, WORD: "from-args" };
    await prepare(world, built(world, { dockerfile: "docker/Other", args, labels: { team: "x" } }));
    expect(await says(world)).toBe("from-args");
    expect(await docker("inspect", "-f", "{{.Config.Labels.team}}", `${world.name}-a`)).toBe("x");
    await prepare(world, built(world, { dockerfileInline: text, args, target: "one" }), true);
    expect(await says(world)).toBe("one");
    await discard(world);
  });

  it("shows what the failing step printed", async () => {
    await using world = new World(fixture);
    const failing = `RUN ["node", "-e", "console.log('line one'); console.error('the reason'); process.exit(3)"]`;
    await files({ Dockerfile: `FROM ${base}\nUSER 0\n${failing}\n` });
    const error = await prepare(world).catch((thrown: unknown) => thrown as Error & { code: string });
    expect(error).toMatchObject({ code: "docker/build-failed" });
    const { message } = error as Error;
    expect(message).toContain('RUN ["node"');
    // The two streams of a program come in no certain order.
    for (const line of ["\n  line one", "\n  the reason"]) expect(message).toContain(line);
  });

  it.each([
    ["a Dockerfile that cannot be read", { Dockerfile: "FORM x\n" }, {}, "docker/build-failed"],
    ["no Dockerfile", {}, {}, "docker/no-dockerfile"],
    [
      "no context",
      { Dockerfile: "FROM x\n" },
      { context: "/no/such/folder", dockerfileInline: "FROM x" },
      "docker/no-context",
    ],
    ["a base image that nobody has", { Dockerfile: "FROM 127.0.0.1:1/none:1\n" }, {}, "docker/build-failed"],
  ])("says clearly that there is %s", async (_, contents, more, code) => {
    await using world = new World(fixture);
    await files(contents);
    await expect(prepare(world, built(world, more))).rejects.toMatchObject({ code, fix: expect.any(String) });
  });

  it("is left out when the image is there, and asked for again gives another image and so another hash", async () => {
    await using world = new World(fixture);
    const hash = async (build: boolean, dryRun = false) => {
      const options = { signal: world.signal, progress: () => undefined, build, dryRun };
      const resources = await world.driver.prepare(built(world), options);
      return resources.find(({ key }) => key === "component/a-1")?.parts.image;
    };
    await files({ Dockerfile: dockerfile, "a.txt": "a" });
    const first = await hash(false);
    await files({ "a.txt": "b", "new.txt": "n" });
    expect(await hash(false)).toBe(first);
    expect(await hash(true, true)).toBe(first);
    expect(await hash(true)).not.toBe(first);
    await discard(world);
  });

  it("does not happen when only the plan is asked for", async () => {
    await using world = new World(fixture);
    await files({ Dockerfile: dockerfile });
    const options = { signal: world.signal, progress: () => undefined, build: true, dryRun: true };
    await world.driver.prepare(built(world), options);
    expect(await docker("images", "-q", `${world.name}-a`)).toBe("");
  });

  it("runs what it made", async () => {
    await using world = new World(fixture);
    await files({
      Dockerfile: `FROM ${base}\nENTRYPOINT ["node", "-e", "console.error('up'); setInterval(() => {}, 1000)"]\n`,
    });
    await world.up(built(world));
    await world.untilSaid("a-1", "up");
    await world.down();
    await discard(world);
  });
});

describe("an image that is not there", () => {
  const missing = "127.0.0.1:1/acme/none:1";
  it.each([
    ["is not pulled by the policy never", "never", "docker/image-missing"],
    ["is asked of its registry by the policy missing", "missing", "docker/pull-failed"],
    ["is asked of its registry by the policy always", "always", "docker/pull-failed"],
  ])("%s", async (_, pullPolicy, code) => {
    await using world = new World(fixture);
    const pipeline = pipelineOf(world.name, [
      component("a", "", { image: missing, pullPolicy: pullPolicy as "never" }),
    ]);
    await expect(world.prepare(deploymentOf(pipeline))).rejects.toMatchObject({
      code,
      message: expect.stringContaining(missing),
    });
  });
});

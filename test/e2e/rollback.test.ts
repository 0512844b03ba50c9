import { execFile } from "node:child_process";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { buildProgram, eventually, flowctlImage, Scenario } from "./checks.ts";
import { driversUnderTest } from "./drivers-under-test.ts";

/** Node.js does not start with it. */
const BROKEN = 'environment: { NODE_OPTIONS: "--no-such-option" }, restart: "on-failure:1"';

/** Numbered events through processors to a sink that remembers. */
function pipeline(processors: Readonly<Record<string, string>>, inputs: string): string {
  const middle = Object.entries(processors).map(
    ([id, settings]) => `  ${id}: { uses: filter, with: { where: payload.sequence > 0 }, ${settings} }`,
  );
  return `
sources:
  numbers: { uses: generator, with: { rate: 10 } }
${middle.length === 0 ? "" : `processors:\n${middle.join("\n")}`}
sinks:
  archive: { uses: file, inputs: ${inputs}, with: { path: ./out/archive.jsonl } }
`;
}

const GOOD = pipeline({ a: "inputs: [numbers]", z: "inputs: [a]" }, "[z]");

/** What a file becomes: none of it can work. */
const edits: readonly (readonly [string, string, RegExp])[] = [
  ["a processor crashes", pipeline({ a: `inputs: [numbers], ${BROKEN}`, z: "inputs: [a]" }, "[z]"), /a-1/],
  [
    "a processor crashes, and the one above it is removed",
    pipeline({ z: `inputs: [numbers], ${BROKEN}` }, "[z]"),
    /z-1/,
  ],
  [
    "a new processor, in the place of another, crashes",
    pipeline({ a: "inputs: [numbers]", b: `inputs: [a], ${BROKEN}` }, "[b]"),
    /b-1/,
  ],
  [
    "a new branch crashes",
    pipeline({ a: "inputs: [numbers]", z: "inputs: [a]", b: `inputs: [numbers], ${BROKEN}` }, "[z, b]"),
    /b-1/,
  ],
  [
    "a health check never passes",
    pipeline(
      {
        a: 'inputs: [numbers], healthcheck: { test: ["CMD", "false"], interval: 1s, retries: 2 }',
        z: "inputs: [a]",
      },
      "[z]",
    ),
    /a-1 fails its health check/,
  ],
];

/** What goes back is decided in one way for all drivers: on Docker those are enough that differ in what a container shows, or is left with. */
const ON_DOCKER = ["a processor crashes, and the one above it is removed", "a health check never passes"];

/** What ends an `up` that goes back. */
interface End {
  readonly when: string;
  readonly signal: NodeJS.Signals;
  /** Its exit code, and what it said by then. */
  readonly code: number;
  readonly said: RegExp;
  /** The drivers on which that is tried. */
  readonly on: readonly string[];
}

const ends: readonly End[] = [
  { when: "killed with -9 when it begins", signal: "SIGKILL", code: 137, said: /rolling back/, on: ["process"] },
  { when: "interrupted when it begins", signal: "SIGINT", code: 130, said: /rolling back/, on: ["process"] },
  {
    when: "killed with -9 while it replaces",
    ...{ signal: "SIGKILL", code: 137, said: /rolling back[\s\S]*a-1 (Replacing|Draining)/ },
    on: ["process", "docker"],
  },
];

async function arrived(scenario: Scenario): Promise<readonly number[]> {
  return (await scenario.lines("out/archive.jsonl")).map((line) => (JSON.parse(line) as { sequence: number }).sequence);
}

/** Whatever the source has sent by now is there, once. */
async function expectAllOnce(scenario: Scenario): Promise<void> {
  await scenario.succeed("stop", "numbers");
  const sequences = [...(await arrived(scenario))].sort((a, b) => a - b);
  expect(sequences.length).toBeGreaterThan(20);
  expect(sequences).toEqual(Array.from({ length: sequences.length }, (_, i) => i + 1));
}

beforeAll(buildProgram);

describe.concurrent.each(driversUnderTest())("up --wait on %s", (driver) => {
  it("puts back what ran before when a change does not work, and every event arrives once", async () => {
    await using scenario = await Scenario.on(driver, GOOD);
    await scenario.succeed("up", "--wait");
    const before = await scenario.refs();
    const tried = driver === "docker" ? edits.filter(([what]) => ON_DOCKER.includes(what)) : edits;
    for (const [what, file, who] of tried) {
      const seen = (await arrived(scenario)).length;
      await eventually(`events before ${what}`, async () => (await arrived(scenario)).length > seen);
      await scenario.pipeline(file);
      const { code, stderr } = await scenario.flowctl("up", "--wait", "--timeout", "180");
      expect(code, `${what}: ${stderr}`).toBe(1);
      expect(stderr, what).toMatch(who);
      expect(stderr, what).toContain("rolling back");
      expect(stderr, what).toMatch(/Rolled back to the previous version, which is healthy[\s\S]*code cli\/rolled-back/);
      expect(Object.keys(await scenario.refs()).sort(), what).toEqual(Object.keys(before).sort());
    }
    // What no edit was about was never touched.
    const { "numbers-1": source, "archive-1": sink } = await scenario.refs();
    const happened = (await scenario.flowctl("events")).stdout;
    expect([source, sink], happened).toEqual([before["numbers-1"], before["archive-1"]]);
    // The earlier file is what runs.
    await scenario.pipeline(GOOD);
    const { changes, live } = JSON.parse(await scenario.succeed("up", "--dry-run", "--json")) as {
      readonly changes: unknown[];
      readonly live: unknown[];
    };
    expect([changes, live]).toEqual([[], []]);
    await expectAllOnce(scenario);
    await scenario.succeed("down", "-v");
    expect(await scenario.leftovers()).toEqual([]);
    scenario.passed();
  }, 400_000);

  it.each(ends.filter(({ on }) => on.includes(driver)))(
    "$when leaves a state from which up and down work",
    async ({ signal, code, said }) => {
      await using scenario = await Scenario.on(driver, GOOD);
      await scenario.succeed("up", "--wait");
      await scenario.pipeline(pipeline({ a: `inputs: [numbers], ${BROKEN}`, z: "inputs: [a]" }, "[z]"));
      const up = scenario.start("up", "--wait");
      await up.until(said);
      up.child.kill(signal);
      expect((await up.ended).code).toBe(code);
      await scenario.pipeline(GOOD);
      await scenario.succeed("up", "--wait", "--timeout", "180");
      await expectAllOnce(scenario);
      await scenario.succeed("down", "-v");
      expect(await scenario.leftovers()).toEqual([]);
      scenario.passed();
    },
    200_000,
  );

  it("keeps no value of a secret, reads it again, and says when it is another one", async () => {
    const file = (broken: string): string => `
sources: { numbers: { uses: generator, with: { rate: 10 } } }
processors:
  a: { uses: filter, inputs: [numbers], with: { where: payload.sequence > 0 }, secrets: [token]${broken} }
sinks: { archive: { uses: file, inputs: [a], with: { path: ./out/archive.jsonl } } }
secrets: { token: { file: ./token.txt } }
`;
    await using scenario = await Scenario.on(driver, file(', environment: { PLAIN: "value-of-a-variable" }'));
    await scenario.write("token.txt", "first-secret");
    await scenario.succeed("up", "--wait");
    await scenario.write("token.txt", "second-secret");
    await scenario.pipeline(file(`, ${BROKEN}`));
    const { code, stderr } = await scenario.flowctl("up", "--wait", "--timeout", "180");
    expect(code, stderr).toBe(1);
    expect(stderr).toContain("but with the current value of token: earlier ones are not kept");
    for (const [name, content] of await stored(scenario)) {
      expect(content.includes("first-secret") || content.includes("second-secret"), name).toBe(false);
      expect(content.includes("value-of-a-variable"), name).toBe(false);
    }
    await expectAllOnce(scenario);
    scenario.passed();
  }, 200_000);
});

/** What is put back, and whether anything is, is decided in one way for all drivers. */
describe.concurrent("what up --wait goes back to", () => {
  it("goes back to what was healthy, also when up -d or scale brought that about, and not to what never was", async () => {
    await using scenario = await Scenario.on("process", GOOD);
    await scenario.succeed("up", "-d");
    await scenario.succeed("scale", "z=2");
    await eventually(
      "both are healthy",
      async () =>
        (await scenario.instances()).filter(({ component, state }) => component === "z" && state === "healthy")
          .length === 2,
    );
    await scenario.pipeline(pipeline({ a: `inputs: [numbers], ${BROKEN}`, z: "inputs: [a]" }, "[z]"));
    await scenario.succeed("up", "-d");
    await scenario.pipeline(pipeline({ z: `inputs: [numbers], ${BROKEN}` }, "[z]"));
    const { code, stderr } = await scenario.flowctl("up", "--wait", "--timeout", "180");
    expect(code, stderr).not.toBe(0);
    expect(stderr).toContain("code cli/rolled-back");
    expect(Object.keys(await scenario.refs()).sort()).toEqual([
      "a-1",
      "archive-1",
      "control-plane",
      "numbers-1",
      "z-1",
      "z-2",
    ]);
    await expectAllOnce(scenario);
    scenario.passed();
  }, 300_000);

  it("has nothing to go back to at a first start, and leaves with --no-rollback what does not work", async () => {
    await using scenario = await Scenario.on("process", pipeline({ a: `inputs: [numbers], ${BROKEN}` }, "[a]"));
    const first = await scenario.flowctl("up", "--wait", "--timeout", "180");
    expect(first.code, first.stderr).toBe(1);
    expect(first.stderr).toMatch(
      /Nothing was running before, so there is nothing to roll back to: what was started keeps running/,
    );
    expect(first.stderr).toContain("code cli/pipeline-failed");
    expect(Object.keys(await scenario.refs())).toContain("a-1");
    await scenario.pipeline(pipeline({ a: "inputs: [numbers]" }, "[a]"));
    await scenario.succeed("up", "--wait");
    await scenario.pipeline(pipeline({ a: `inputs: [numbers], ${BROKEN}` }, "[a]"));
    const left = await scenario.flowctl("up", "--wait", "--no-rollback", "--timeout", "180");
    expect(left.code, left.stderr).toBe(1);
    expect(left.stderr).not.toContain("olled back");
    expect((await scenario.instances()).find(({ instance }) => instance === "a-1")?.state).toBe("failed");
    // The next one still knows what worked, although nothing of it is new.
    const again = await scenario.flowctl("up", "--wait", "--timeout", "180");
    expect(again.stderr).toContain("code cli/rolled-back");
    await expectAllOnce(scenario);
    scenario.passed();
  }, 300_000);
});

describe.skipIf(!driversUnderTest().includes("docker"))("up --wait --build on Docker", () => {
  it("goes back to the image that ran before, although its tag is another one's by now", async () => {
    const file = `
sources: { numbers: { uses: generator, with: { rate: 10 } } }
sinks: { out: { uses: discard, inputs: [numbers] } }
`;
    await using scenario = await Scenario.on("docker", file);
    await scenario.succeed("up", "--wait");
    const base = await flowctlImage();
    const dockerfile = (...args: readonly string[]): string =>
      `FROM ${base}\nLABEL dev.flowctl.test=${scenario.name}\nHEALTHCHECK NONE\nENTRYPOINT ${JSON.stringify(["node", ...args])}\n`;
    await scenario.pipeline(`${file}services: { greeter: { build: ./greeter } }\n`);
    await mkdir(join(scenario.folder, "greeter"));
    await scenario.write(
      "greeter/Dockerfile",
      dockerfile("-e", "console.log('it works'); setInterval(() => {}, 1000)"),
    );
    await scenario.succeed("up", "--wait");
    await scenario.write("greeter/Dockerfile", dockerfile("--no-such-option"));
    const { code, stderr } = await scenario.flowctl("up", "--wait", "--build", "--timeout", "180");
    expect(code, stderr).toBe(1);
    expect(stderr).toMatch(/the service greeter exited with code 9[\s\S]*code cli\/rolled-back/);
    expect(stderr).toContain("bad option: --no-such-option");
    expect(await scenario.succeed("logs", "greeter")).toContain("it works");
    scenario.passed();
  }, 300_000);
});

/** The files of the control plane's store. */
async function stored(scenario: Scenario): Promise<readonly (readonly [string, string])[]> {
  if (scenario.driver === "docker") {
    const { "control-plane": id = "" } = await scenario.refs();
    const copy = ["cp", `${id}:/var/lib/flowctl`, "-"];
    const { stdout } = await promisify(execFile)("docker", copy, { maxBuffer: 1 << 28, encoding: "latin1" });
    expect(stdout).toContain("CURRENT");
    return [["the volume", stdout]];
  }
  const folder = join(scenario.folder, ".home", "pipelines", scenario.name, "control-plane");
  const names = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  expect(files.length).toBeGreaterThan(0);
  return Promise.all(files.map(async (path) => [path, await readFile(path, "latin1")] as const));
}

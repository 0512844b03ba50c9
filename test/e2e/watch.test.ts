import { mkdir, rename, rm, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { buildProgram, eventually, flowctlImage, Scenario } from "./checks.ts";
import { driversUnderTest } from "./drivers-under-test.ts";

const pipeline = (where: string, extra = ""): string => `
sources:
  numbers: { uses: generator, with: { rate: 10 } }
processors:
  a: { uses: filter, inputs: [numbers], with: { where: "${where}" }, env_file: [{ path: a.env, required: false }] }
sinks:
  archive: { uses: file, inputs: [a], with: { path: ./out/archive.jsonl } }
${extra}`;

/** Another file in the place of the one before, as many editors save. */
async function saveByRename(scenario: Scenario, file: string, text: string): Promise<void> {
  await scenario.write(`${file}.tmp`, text);
  await rename(join(scenario.folder, `${file}.tmp`), join(scenario.folder, file));
}

async function changedRef(scenario: Scenario, instance: string, before: string | undefined): Promise<void> {
  await eventually(`${instance} is another one`, async () => {
    const ref = (await scenario.refs())[instance];
    return ref !== undefined && ref !== before;
  });
}

beforeAll(buildProgram);

describe.concurrent.each(driversUnderTest())("up --watch on %s", (driver) => {
  it("carries out edits as they are saved, replaces just what was changed, and stops at Ctrl-C", async () => {
    await using scenario = await Scenario.on(driver, pipeline("payload.sequence > 0"));
    const up = scenario.start("up", "--watch");
    await up.until(/archive-1 +│ .*started/);
    const first = await scenario.refs();

    await scenario.pipeline(pipeline("payload.sequence > 1"));
    await changedRef(scenario, "a-1", first["a-1"]);
    await up.until(/Edited: flowctl.yaml\n[\s\S]*replace component\/a-1 +with changed[\s\S]*\nApplied\n/);
    const second = await scenario.refs();
    expect({ ...second, "a-1": "" }).toEqual({ ...first, "a-1": "" });

    await saveByRename(scenario, "flowctl.yaml", `name: ${scenario.name}\n${pipeline("payload.sequence > 2")}`);
    await changedRef(scenario, "a-1", second["a-1"]);

    // A file that did not exist, and one that is deleted.
    const third = await scenario.refs();
    await scenario.write("a.env", "WHERE=here\n");
    await changedRef(scenario, "a-1", third["a-1"]);
    await up.until(/Edited: a.env\n/);
    const fourth = await scenario.refs();
    await rm(join(scenario.folder, "a.env"));
    await changedRef(scenario, "a-1", fourth["a-1"]);

    up.child.kill("SIGINT");
    const { code } = await up.ended;
    expect(code).toBe(130);
    await scenario.succeed("down", "-v");
    expect(await scenario.leftovers()).toEqual([]);
    scenario.passed();
  }, 200_000);

  it("shows what is wrong with an edit, goes on as it was, and takes up the next one", async () => {
    await using scenario = await Scenario.on(driver, pipeline("payload.sequence > 0"));
    const up = scenario.start("up", "--watch");
    await up.until(/archive-1 +│ .*started/);
    const first = await scenario.refs();
    await scenario.pipeline(pipeline("payload.sequence > 0").replace("inputs: [a]", "inputs: [nobody]"));
    await up.until(/nobody[\s\S]*Not applied; waiting for the next edit/);
    await scenario.pipeline("sinks: [not: {closed");
    await up.until(/(Not applied; waiting for the next edit[\s\S]*){2}/);
    await scenario.write("flowctl.yaml", `name: another\n${pipeline("payload.sequence > 0")}`);
    await up.until(/code cli\/renamed[\s\S]*Not applied/);
    expect(await scenario.refs()).toEqual(first);
    await scenario.pipeline(pipeline("payload.sequence > 5"));
    await changedRef(scenario, "a-1", first["a-1"]);
    up.child.kill("SIGINT");
    await up.ended;
    scenario.passed();
  }, 200_000);

  it("does nothing for a file that is saved as it was, touched, or deleted and written anew", async () => {
    await using scenario = await Scenario.on(driver, pipeline("payload.sequence > 0"));
    const up = scenario.start("up", "--watch");
    await up.until(/archive-1 +│ .*started/);
    const before = await scenario.refs();
    const text = `name: ${scenario.name}\n${pipeline("payload.sequence > 0")}`;
    await scenario.write("flowctl.yaml", text);
    await utimes(join(scenario.folder, "flowctl.yaml"), new Date(), new Date());
    await saveByRename(scenario, "flowctl.yaml", text);
    await rm(join(scenario.folder, "flowctl.yaml"));
    await scenario.write("flowctl.yaml", text);
    // What comes later is told first: nothing else was told.
    await scenario.write("a.env", "WHERE=here\n");
    await changedRef(scenario, "a-1", before["a-1"]);
    expect(up.said().match(/Edited: .*/g)).toEqual(["Edited: a.env"]);
    up.child.kill("SIGINT");
    await up.ended;
    scenario.passed();
  }, 200_000);

  it("carries out two edits in quick succession, also while the first is carried out, and loses nothing", async () => {
    await using scenario = await Scenario.on(driver, pipeline("payload.sequence > 0"));
    const up = scenario.start("up", "--watch");
    await up.until(/archive-1 +│ .*started/);
    const wanted = pipeline(
      "payload.sequence > -1",
      "  copy: { uses: file, inputs: [a], with: { path: ./out/copy.jsonl } }\n",
    );
    await scenario.pipeline(pipeline("payload.sequence > -2"));
    await up.until(/a-1 Replacing/);
    await scenario.pipeline(wanted);
    await eventually("the second is there", async () => (await scenario.lines("out/copy.jsonl")).length > 50);
    await up.until(/\nApplied\n/);
    await scenario.succeed("stop", "numbers");
    const { changes } = JSON.parse(await scenario.succeed("up", "--dry-run", "--json")) as {
      readonly changes: readonly { readonly action: string; readonly resource: string }[];
    };
    expect(changes.map(({ action, resource }) => `${action} ${resource}`)).toEqual(["start component/numbers-1"]);
    up.child.kill("SIGINT");
    await up.ended;
    const sequences = (await scenario.lines("out/archive.jsonl")).map(
      (line) => (JSON.parse(line) as { sequence: number }).sequence,
    );
    expect(sequences.sort((a, b) => a - b)).toEqual(Array.from({ length: sequences.length }, (_, i) => i + 1));
    scenario.passed();
  }, 200_000);

  it("stays when the pipeline has failed, and the next edit mends it", async () => {
    await using scenario = await Scenario.on(driver, pipeline("payload.sequence > 0"));
    const up = scenario.start("up", "--watch");
    await up.until(/archive-1 +│ .*started/);
    const broken = 'restart: "no", environment: { NODE_OPTIONS: "--no-such-option" }, inputs: [a]';
    await scenario.pipeline(pipeline("payload.sequence > 0").replace("inputs: [a]", broken));
    await up.until(/code cli\/pipeline-failed[\s\S]*Waiting for the next edit/);
    const before = (await scenario.lines("out/archive.jsonl")).length;
    await scenario.pipeline(pipeline("payload.sequence > 0"));
    await eventually("events", async () => (await scenario.lines("out/archive.jsonl")).length > before + 50);
    expect(up.child.exitCode).toBe(null);
    up.child.kill("SIGINT");
    await up.ended;
    scenario.passed();
  }, 200_000);
});

describe.skipIf(!driversUnderTest().includes("process"))("up --watch of a command on processes", () => {
  it("replaces the component whose sources were edited, and no other", async () => {
    const source = (word: string): string => `console.log("this is ${word}");\nsetInterval(() => {}, 1000);\n`;
    const file = `
sources:
  one: { command: [node, one/main.mjs], restart: unless-stopped }
  two: { command: [node, two.mjs], restart: unless-stopped }
sinks: { out: { uses: discard, inputs: [one, two] } }
`;
    await using scenario = await Scenario.on("process", file);
    const write = async (path: string, text: string): Promise<void> => {
      await mkdir(dirname(join(scenario.folder, path)), { recursive: true });
      await writeFile(join(scenario.folder, path), text);
    };
    await write("one/main.mjs", 'import "./library.mjs";\n');
    await write("one/library.mjs", source("the first"));
    await write("one/.dockerignore", "*.log\n");
    await write("two.mjs", source("the second"));
    const up = scenario.start("up", "--watch");
    await up.until(/this is the first/);
    await up.until(/this is the second/);
    const before = await scenario.refs();
    await write("one/notes.log", "ignored");
    await write("one/.library.mjs.swp", "ignored");
    await write("data.txt", "nobody's");
    await write("one/library.mjs", source("edited"));
    await up.until(/Edited: one\/library.mjs\n/);
    await up.until(/this is edited/);
    await eventually("the other is as it was", async () => (await scenario.refs())["two-1"] === before["two-1"]);
    await write("two.mjs", source("edited, too"));
    await up.until(/Edited: two.mjs\n/);
    await up.until(/this is edited, too/);
    expect(up.said()).not.toMatch(/Edited: .*(notes|swp|data)/);
    up.child.kill("SIGINT");
    await up.ended;
    scenario.passed();
  }, 120_000);
});

describe.skipIf(!driversUnderTest().includes("docker"))("up --watch of a build context on Docker", () => {
  it("builds the image whose context was edited, and replaces what runs it, but not for what is ignored", async () => {
    const base = await flowctlImage();
    const file = `
sources:
  numbers: { uses: generator, with: { rate: 10 } }
sinks: { out: { uses: discard, inputs: [numbers] } }
`;
    await using scenario = await Scenario.on("docker", file);
    await scenario.succeed("up", "-d");
    await scenario.pipeline(`${file}services: { greeter: { build: ./greeter } }\n`);
    const write = async (path: string, text: string): Promise<void> => {
      await mkdir(dirname(join(scenario.folder, path)), { recursive: true });
      await writeFile(join(scenario.folder, path), text);
    };
    await write(
      "greeter/Dockerfile",
      `FROM ${base}\nLABEL dev.flowctl.test=${scenario.name}\nCOPY . /greeter\nENTRYPOINT ["node", "-e", "console.log(require('fs').readFileSync('/greeter/word.txt', 'utf8')); setInterval(() => {}, 1000)"]\n`,
    );
    await write("greeter/word.txt", "good morning");
    await write("greeter/.dockerignore", "*.log\n");
    const up = scenario.start("up", "--watch");
    await up.until(/good morning/);
    const before = await scenario.refs();
    await write("greeter/notes.log", "ignored");
    await write("greeter/word.txt", "good evening");
    await up.until(/Edited: greeter\/word.txt\n/);
    await up.until(/good evening/);
    const after = await scenario.refs();
    expect([after["numbers-1"], after["out-1"]]).toEqual([before["numbers-1"], before["out-1"]]);
    // A build that fails changes nothing.
    await write("greeter/Dockerfile", `FROM ${base}\nRUN exit 3\n`);
    await up.until(/Edited: greeter\/Dockerfile\n[\s\S]*Not applied; waiting for the next edit/);
    expect((await scenario.refs())["numbers-1"]).toBe(before["numbers-1"]);
    up.child.kill("SIGINT");
    await up.ended;
    scenario.passed();
  }, 200_000);
});

import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { eventually, Scenario } from "./checks.ts";

const repository = resolve(import.meta.dirname, "../..");
const generator = "src/components/sources/generator.ts";

/** A repository that a test may edit. */
let copy: string;
beforeAll(async () => {
  copy = await mkdtemp(join(tmpdir(), "flowctl-dev-test-"));
  const parts = ["package.json", "package-lock.json", "tsconfig.json", "images", "proto", "scripts", "src"];
  for (const part of parts) await cp(join(repository, part), join(copy, part), { recursive: true });
  await symlink(join(repository, "node_modules"), join(copy, "node_modules"));
});
afterAll(async () => await rm(copy, { recursive: true, force: true }));

async function edit(file: string, before: string, after: string): Promise<void> {
  const path = join(copy, file);
  const text = await readFile(path, "utf8");
  if (!text.includes(before)) throw new Error(`${file} has no ${before}`);
  await writeFile(path, text.replace(before, after));
}

it("npm run dev runs the pipeline on what is built after each edit, stays with it after a broken one, and ends with Ctrl-C", async () => {
  await using scenario = await Scenario.on(
    "process",
    `
sources: { numbers: { uses: generator, with: { rate: 20 } } }
sinks: { archive: { uses: file, inputs: [numbers], with: { path: ./out/archive.jsonl } } }
`,
  );
  const dev = scenario.startProgram("bash", [join(copy, "scripts/dev.sh"), "flowctl.yaml"], {
    INIT_CWD: scenario.folder,
  });
  // Killed it would leave the pipeline; asked to end it takes it down.
  await using _ended: AsyncDisposable = {
    [Symbol.asyncDispose]: async () => {
      dev.child.kill("SIGTERM");
      await dev.ended;
    },
  };
  const archived = (pattern: RegExp) => async (): Promise<boolean> =>
    (await scenario.lines("out/archive.jsonl")).some((line) => pattern.test(line));
  await eventually("events", archived(/"sequence":/));
  const first = await scenario.refs();

  await edit(generator, "export ", "export }");
  await dev.until(
    /edited: src\/components\/sources\/generator\.ts[\s\S]*not built; nothing changes until the next edit/,
  );
  expect(await scenario.refs()).toEqual(first);

  await edit(generator, "export }", "export ");
  await dev.until(/no program changed/);
  expect(await scenario.refs()).toEqual(first);

  await edit(generator, '{"sequence":$', '{"edited":$');
  await eventually("events of the edited generator", archived(/"edited":/));
  const lines = await scenario.lines("out/archive.jsonl");
  expect(lines.map((line) => Number(/\d+/.exec(line)))).toEqual(lines.map((_, index) => index + 1));

  await scenario.pipeline(
    "sources: { numbers: { uses: generator } }\nsinks: { other: { uses: discard, inputs: [numbers] } }\n",
  );
  await dev.until(/Edited: flowctl\.yaml[\s\S]*\nApplied\n/);

  dev.child.kill("SIGINT");
  expect((await dev.ended).code).toBe(0);
  // Stored positions, and no process.
  expect(await scenario.leftovers()).toEqual([`folder ${scenario.name}`]);
  scenario.passed();
});

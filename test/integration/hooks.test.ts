import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Ended, runProgram, runWell } from "../e2e/run-program.ts";

const repository = resolve(import.meta.dirname, "../..");
const settings = { compilerOptions: { strict: true, noEmit: true, types: [] }, include: ["src"] };
let folder: string;

const { GIT_DIR: _dir, GIT_INDEX_FILE: _index, ...inherited } = process.env;
const env = { ...inherited, GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1" };

const git = (...args: string[]): Promise<Ended> =>
  runProgram("git", ["-c", "user.name=Test", "-c", "user.email=test@example.org", ...args], { cwd: folder, env });

/** Commits one file with this content; it is gone from the index and the folder afterwards unless it was committed. */
async function commit(text: string, message = "Add a file"): Promise<Ended> {
  await writeFile(join(folder, "src/file.ts"), text);
  await git("add", "-A");
  const ended = await git("commit", "-m", message);
  await git("reset", "-q", "--hard");
  return ended;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "flowctl-hooks-test-"));
  for (const part of ["biome.json", ".gitignore", "package.json", "scripts/lint", "scripts/hooks"])
    await cp(join(repository, part), join(folder, part), { recursive: true });
  await mkdir(join(folder, "src"));
  await writeFile(join(folder, "tsconfig.json"), `${JSON.stringify(settings, null, 2)}\n`);
  await symlink(join(repository, "node_modules"), join(folder, "node_modules"));
  await runWell("git", ["init", "-q", folder], { env });
  await writeFile(join(folder, ".git/info/exclude"), "node_modules\n");
  await git("add", "-A");
  await git("commit", "-qm", "Begin");
  await runWell("npm", ["run", "--silent", "hooks"], { cwd: folder, env });
}, 120_000);
afterAll(async () => await rm(folder, { recursive: true, force: true }));

describe("the hooks that npm run hooks puts to use", () => {
  it("let a good commit through", async () => {
    expect(await commit("export const one: number = 1;\n")).toMatchObject({ code: 0 });
  });

  it.each([
    ["a mistake of style", "export const two: number = 2", /style and mistakes[\s\S]*src\/file\.ts/],
    ["a wrong type", 'export const three: number = "3";\n', /types \(tsc\)[\s\S]*src\/file\.ts/],
    // Written in two parts, as this file is committed as well.
    ["a private key", `export const key = "-----BEGIN ${"PRIVATE KEY-----"}";\n`, /src\/file\.ts:1: a private key/],
    ["a token", `export const token = "ghp_${"a1".repeat(18)}";\n`, /src\/file\.ts:1: a token/],
    [
      "the number of an issue",
      `// Fixes ${"#"}12.\nexport const four: number = 4;\n`,
      /src\/file\.ts:1: the number of an/,
    ],
  ])("refuse %s, and say where", async (_, text, said) => {
    const { code, stderr } = await commit(text);
    expect(stderr).toMatch(said);
    expect(code).toBe(1);
  });

  it("refuse a message with the number of an issue", async () => {
    const { code, stderr } = await commit("export const five: number = 5;\n", `Fix ${"#"}12`);
    expect(stderr).toMatch(/commit-msg: .*\n1:Fix #12/);
    expect(code).toBe(1);
  });
});

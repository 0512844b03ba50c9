import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildProgram, dockerLeftovers, eventually, processLeftovers } from "./checks.ts";
import { driversUnderTest } from "./drivers-under-test.ts";
import { runProgram } from "./run-program.ts";
import { Shell } from "./shell.ts";
import { edited, isShown, pageOf, type Step, tutorialPages } from "./tutorial-pages.ts";

const root = resolve(import.meta.dirname, "../..");
const NAME = "corner-shop";
/** On Docker the name of a pipeline counts on the whole machine. */
const ownName = `${NAME}-${randomBytes(3).toString("hex")}`;
const withDocker = driversUnderTest().includes("docker");
const pages = tutorialPages(join(root, "docs/tutorial"));

describe("what a page shows", () => {
  const exact = (text: string) => ({ text, like: false });
  const like = (text: string) => ({ text, like: true });

  it("is compared to the letter, but for what is left out", () => {
    expect(isShown(exact("a  1\nb 2\n"), "a  1 \nb 2\n")).toBe(true);
    for (const other of ["a 1\nb 2\n", "a  2\nb 2\n", "a  1\n", "a  1\nb 2\nc\n"])
      expect(isShown(exact("a  1\nb 2\n"), other)).toBe(false);
    expect(isShown(exact("…\nb … d\n…\n"), "a\nb c d\n")).toBe(true);
    expect(isShown(exact("…\nb … d\n…\n"), "a\nb c\n")).toBe(false);
  });

  it("may vary in numbers, times and widths where the page says so, and in nothing else", () => {
    const shown = like("weigh-1  healthy  3/3     7  1.5s  2026-11-27T22:10:15.048Z\n");
    expect(isShown(shown, "weigh-1 healthy 3/3 1,234 1m 2s 2027-01-02T03:04:05.678Z\n")).toBe(true);
    for (const [from, to] of [
      ["weigh-1", "weigh-2"],
      ["healthy", "failed"],
      ["3/3", "2/3"],
      ["     7", " -"],
    ] as const)
      expect(isShown(shown, shown.text.replace(from, to)), to).toBe(false);
  });

  it("is refused when nobody can tell what it is, and edits when their place is not found", () => {
    expect(() => pageOf("page.md", "A text:\n\n```yaml\na: 1\n```\n")).toThrow(/page\.md:3: the block `yaml`/);
    expect(edited("a\nb\nc\n", " a\n-b\n+d\n")).toBe("a\nd\nc\n");
    expect(() => edited("a\nb\n", "-c\n+d\n")).toThrow(/0 times/);
  });
});

describe("the tutorial", () => {
  let folder = "";
  let env: NodeJS.ProcessEnv = {};
  let shell: Shell;
  let failedBefore = false;

  /** An empty folder, and flowctl as `npm install --global` leaves it. */
  beforeAll(async () => {
    await buildProgram();
    folder = await mkdtemp(join(tmpdir(), "flowctl-tutorial-"));
    const prefix = join(folder, "npm");
    await mkdir(join(prefix, "lib/node_modules"), { recursive: true });
    await symlink(root, join(prefix, "lib/node_modules/flowctl"));
    await mkdir(join(prefix, "bin"));
    const program = join(prefix, "bin/flowctl");
    await writeFile(program, `#!/bin/sh\nexec node ${join(root, "dist/flowctl.js")} "$@"\n`, { mode: 0o755 });
    const { FLOWCTL_DRIVER: _driver, ...inherited } = process.env;
    env = {
      ...inherited,
      PATH: `${join(prefix, "bin")}:${inherited.PATH}`,
      NO_COLOR: "1",
      FLOWCTL_HOME: join(folder, "home"),
      FLOWCTL_CONFIG_FILE: "",
      XDG_CONFIG_HOME: join(folder, "config"),
      npm_config_prefix: prefix,
      npm_config_offline: "true",
      npm_config_audit: "false",
      npm_config_update_notifier: "false",
    };
    await mkdir(join(folder, "work"));
    shell = new Shell(join(folder, "work"), env);
  });

  afterAll(async () => {
    await shell[Symbol.asyncDispose]();
    for (const driver of driversUnderTest()) {
      if ((await leftovers(driver)).length > 0)
        await runProgram("flowctl", ["down", "-v", ownName, "--driver", driver, "--timeout", "0"], { env });
    }
    if (withDocker) await runProgram("docker", ["image", "rm", "--force", `${ownName}-weigh`]);
    await rm(folder, { recursive: true, force: true });
  });

  const leftovers = (driver: string): Promise<readonly string[]> =>
    driver === "docker" ? dockerLeftovers(ownName) : processLeftovers(join(folder, "home"), folder);

  const own = (text: string): string => text.replaceAll(NAME, ownName);

  async function workFolder(): Promise<string> {
    return (await shell.type("pwd")).said.trim();
  }

  async function take(step: Step): Promise<void> {
    if (step.kind === "command") return type(step);
    const file = join(await workFolder(), step.file);
    await mkdir(dirname(file), { recursive: true });
    if (step.kind === "file") return writeFile(file, own(step.text));
    await writeFile(file, edited(await readFile(file, "utf8"), own(step.diff)));
  }

  async function type({ command, again, printed }: Extract<Step, { kind: "command" }>): Promise<void> {
    const shown = printed === undefined ? undefined : { ...printed, text: own(printed.text) };
    let typed = await shell.type(own(command));
    if (again && shown !== undefined)
      await eventually(`what ${command.trim()} prints`, async () => {
        if (typed.code === 0 && isShown(shown, typed.said)) return true;
        typed = await shell.type(own(command));
        return false;
      }).catch(() => undefined);
    expect(typed.code, typed.said).toBe(0);
    if (shown !== undefined && !isShown(shown, typed.said)) expect(typed.said).toBe(shown.text);
  }

  it("has ten steps", () => {
    expect(pages.map(({ name }) => name.slice(0, 3))).toEqual(
      Array.from({ length: 10 }, (_, n) => `${String(n + 1).padStart(2, "0")}-`),
    );
  });

  it.each(pages.filter(({ name }) => withDocker || !name.includes("docker")))("$title", async ({ steps }) => {
    expect(failedBefore, "a step before this one has failed").toBe(false);
    failedBefore = true;
    for (const step of steps) {
      await take(step).catch((error: Error) => {
        error.message = `docs/tutorial/${step.at}: ${error.message}`;
        throw error;
      });
    }
    failedBefore = false;
  });

  it("leaves nothing behind", async () => {
    await shell[Symbol.asyncDispose]();
    for (const driver of driversUnderTest()) expect(await leftovers(driver)).toEqual([]);
    expect(await readdir(join(folder, "work"))).toEqual([ownName]);
  });
});

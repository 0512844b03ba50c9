import { spawn } from "node:child_process";
import { chmod, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { beforeAll, expect, it } from "vitest";
import { buildProgram } from "./checks.ts";

const program = resolve(import.meta.dirname, "../../dist/flowctl.js");
/** Whom no permission keeps out has to become somebody else for it. */
const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

beforeAll(buildProgram);

/** What flowctl says, run by somebody who cannot read `closed` below a home of its own. */
async function unreadable(closed: string, args: readonly string[]) {
  const home = await mkdtemp(join(tmpdir(), "flowctl-unreadable-"));
  await chmod(home, 0o755);
  await mkdir(join(home, "pipelines", "x", "state"), { recursive: true });
  await chmod(join(home, closed), 0o700);
  if (nobody.uid === undefined) await chmod(join(home, closed), 0);
  const env = { PATH: process.env.PATH, HOME: home, FLOWCTL_HOME: home, DOCKER_HOST: "unix:///nowhere.sock" };
  const child = spawn(process.execPath, [program, ...args], { cwd: "/", env, ...nobody, stdio: "pipe" });
  const [stderr, code] = await Promise.all([
    text(child.stderr),
    new Promise((done) => child.once("close", (exitCode) => done(exitCode))),
  ]);
  await chmod(join(home, closed), 0o700);
  await rm(home, { recursive: true });
  return { stderr, code, path: join(home, closed) };
}

it.each([
  ["pipelines", ["ps", "-a"], "cli/driver-unavailable"],
  ["pipelines", ["down", "-p", "x"], "cli/driver-unavailable"],
  ["pipelines/x", ["down", "-p", "x"], "process/state-not-read"],
])("a %s in FLOWCTL_HOME that cannot be read is said by %j, with a fix", async (closed, args, expected) => {
  const { stderr, code, path } = await unreadable(closed, [...args, "--driver", "process", "--json"]);
  const { error } = JSON.parse(stderr) as { readonly error: Readonly<Record<string, string>> };
  expect(error).toMatchObject({ code: expected, fix: expect.stringContaining("FLOWCTL_HOME") });
  expect(error.message).toContain(path);
  expect(code).toBe(4);
});

it("what runs on drivers that cannot be asked is not said to be nothing", async () => {
  const { stderr, code, path } = await unreadable("pipelines", ["ps", "-a"]);
  expect(stderr).toMatch(/^Nothing runs, as far as can be seen \(/);
  expect(stderr).toContain(path);
  expect(code).toBe(0);
});

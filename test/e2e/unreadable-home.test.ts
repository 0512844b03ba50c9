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

it.each([
  ["pipelines", ["ps", "-a", "--driver", "process"], "cli/driver-unavailable"],
  ["pipelines", ["down", "-p", "x", "--driver", "process"], "cli/driver-unavailable"],
  ["pipelines", ["ps", "-a"], undefined],
  ["pipelines/x", ["down", "-p", "x", "--driver", "process"], "process/state-not-read"],
] as const)("a %s in FLOWCTL_HOME that cannot be read is said by %j, with a fix", async (closed, args, expected) => {
  const home = await mkdtemp(join(tmpdir(), "flowctl-unreadable-"));
  await chmod(home, 0o755);
  await mkdir(join(home, "pipelines", "x", "state"), { recursive: true });
  await chmod(join(home, closed), 0o700);
  if (nobody.uid === undefined) await chmod(join(home, closed), 0);
  const env = { PATH: process.env.PATH, HOME: home, FLOWCTL_HOME: home, DOCKER_HOST: "unix:///nowhere.sock" };
  const child = spawn(process.execPath, [program, ...args, "--json"], { cwd: "/", env, ...nobody, stdio: "pipe" });
  const [stderr, code] = await Promise.all([
    text(child.stderr),
    new Promise((done) => child.once("close", (exitCode) => done(exitCode))),
  ]);
  expect(stderr).not.toContain("internal");
  if (expected === undefined) expect(stderr === "" ? 0 : code).not.toBe(1);
  else {
    const { error } = JSON.parse(stderr) as { readonly error: Readonly<Record<string, string>> };
    expect(error).toMatchObject({ code: expected, fix: expect.stringContaining("FLOWCTL_HOME") });
    expect(error.message).toContain(join(home, closed));
    expect(code).toBe(4);
  }
  await chmod(join(home, closed), 0o700);
  await rm(home, { recursive: true });
});

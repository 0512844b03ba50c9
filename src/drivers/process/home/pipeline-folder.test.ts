import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { observePipeline } from "../observe.ts";
import { pipelinePaths } from "./paths.ts";

import { pipelineNames, removeAllButState } from "./pipeline-folder.ts";

let home: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "flowctl-folder-"));
});

afterEach(() => rmSync(home, { recursive: true, force: true }));

it("removes what somebody who was killed was writing, and leaves what somebody is writing now", async () => {
  const paths = pipelinePaths(home, "p");
  const { pid: dead } = spawnSync(process.execPath, ["-e", ""]);
  const writing = `supervisor.json.${process.pid}.0123abcd.tmp`;
  mkdirSync(paths.folder, { recursive: true });
  writeFileSync(paths.projectFile, "{}");
  for (const name of [`project.json.${dead}.0123abcd.tmp`, writing]) writeFileSync(join(paths.folder, name), "{");
  await removeAllButState(paths);
  expect(readdirSync(paths.folder).sort()).toEqual(["project.json", writing]);
  rmSync(join(paths.folder, writing));
  await removeAllButState(paths);
  expect(existsSync(paths.folder)).toBe(false);
});

it.each([
  ["in its folder", ""],
  ["elsewhere, as its folder's path is too long for one", "a".repeat(100)],
])("removes the socket of a supervisor that was killed, whatever it was called: %s", async (_, below) => {
  const paths = pipelinePaths(join(home, below), "p");
  const folder = dirname(paths.socket);
  for (const one of [paths.folder, folder]) mkdirSync(one, { recursive: true });
  const socket = join(folder, "supervisor.sock");
  const listen = `require("node:net").createServer().listen(${JSON.stringify(socket)}, () => process.kill(process.pid, "SIGKILL"))`;
  spawnSync(process.execPath, ["-e", listen]);
  expect(existsSync(socket)).toBe(true);
  await removeAllButState(paths);
  expect([existsSync(paths.folder), existsSync(folder)]).toEqual([false, false]);
});

it("removes what a process was writing that was killed, and that nobody has waited for yet", async () => {
  const paths = pipelinePaths(home, "p");
  // What the shell becomes never waits for the children that the shell had.
  const parent = spawn("sh", ["-c", "sleep 600 & echo $!; exec sleep 600"], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const [line] = (await once(parent.stdout, "data")) as [Buffer];
    const zombie = Number(String(line).trim());
    await vi.waitUntil(() => readFileSync(`/proc/${parent.pid}/comm`, "utf8") === "sleep\n", { timeout: 60_000 });
    process.kill(zombie, "SIGKILL");
    await vi.waitUntil(() => / Z /.test(readFileSync(`/proc/${zombie}/stat`, "utf8")), { timeout: 60_000 });
    mkdirSync(paths.folder, { recursive: true });
    writeFileSync(join(paths.folder, `supervisor.json.${zombie}.0123abcd.tmp`), "{");
    await removeAllButState(paths);
    expect(existsSync(paths.folder)).toBe(false);
  } finally {
    parent.kill("SIGKILL");
  }
});

it.each([
  ["its folder", []],
  ["what it was writing first", ["project.json.PID.0123abcd.tmp"]],
  ["whose it is", ["project.json"]],
  ["that its supervisor is being started", ["project.json", "starting-0123456789ab"]],
])("is seen and removed when whoever made it was killed after %s", async (_, names) => {
  const paths = pipelinePaths(home, "p");
  const { pid: dead } = spawnSync(process.execPath, ["-e", ""]);
  mkdirSync(paths.folder, { recursive: true });
  for (const name of names) writeFileSync(join(paths.folder, name.replace("PID", String(dead))), "{}");
  expect(await pipelineNames(home)).toEqual(["p"]);
  const observed = await observePipeline(paths, new AbortController().signal);
  expect(observed).toMatchObject([{ kind: "control-plane", state: { status: "created" } }]);
  await removeAllButState(paths);
  expect(existsSync(paths.folder)).toBe(false);
});

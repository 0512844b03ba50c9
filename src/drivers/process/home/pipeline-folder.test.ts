import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { observePipeline } from "../observe.ts";
import { pipelinePaths } from "./paths.ts";

import { removeAllButState } from "./pipeline-folder.ts";

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
  ["its folder", []],
  ["what it was writing first", ["project.json.PID.0123abcd.tmp"]],
  ["whose it is", ["project.json"]],
  ["that its supervisor is being started", ["project.json", "starting-0123456789ab"]],
])("is seen and removed when whoever made it was killed after %s", async (_, names) => {
  const paths = pipelinePaths(home, "p");
  const { pid: dead } = spawnSync(process.execPath, ["-e", ""]);
  mkdirSync(paths.folder, { recursive: true });
  for (const name of names) writeFileSync(join(paths.folder, name.replace("PID", String(dead))), "{}");
  const observed = await observePipeline(paths, new AbortController().signal);
  expect(observed).toMatchObject([{ kind: "control-plane", state: { status: "created" } }]);
  await removeAllButState(paths);
  expect(existsSync(paths.folder)).toBe(false);
});

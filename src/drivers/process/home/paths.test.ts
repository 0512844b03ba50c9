import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { flowctlHome, pipelinePaths } from "./paths.ts";

test("the home is FLOWCTL_HOME, else XDG_STATE_HOME's, else the user's", () => {
  expect(flowctlHome({ FLOWCTL_HOME: "/a", XDG_STATE_HOME: "/b", HOME: "/c" })).toBe("/a");
  expect(flowctlHome({ XDG_STATE_HOME: "/b", HOME: "/c" })).toBe("/b/flowctl");
  expect(flowctlHome({ HOME: "/c" })).toBe("/c/.local/state/flowctl");
});

test("a home gives the same marker by whatever link it is reached, and another home another one", () => {
  const folder = mkdtempSync(join(tmpdir(), "flowctl-paths-"));
  mkdirSync(join(folder, "real"));
  symlinkSync(join(folder, "real"), join(folder, "link"));
  const runId = (name: string): string => pipelinePaths(join(folder, name), "p").runId;
  expect(runId("link")).toBe(runId("real"));
  expect(runId("other")).not.toBe(runId("real"));
  rmSync(folder, { recursive: true });
});

test("the socket's path fits into what systems allow, however deep the home lies", () => {
  const deep = pipelinePaths(`/${"long/".repeat(40)}home`, "p");
  expect(Buffer.byteLength(deep.socket)).toBeLessThan(104);
  expect(pipelinePaths("/h", "p").socket).toBe("/h/pipelines/p/supervisor.grpc.sock");
});

test("the socket's path is one that gRPC can dial, whatever the home is called", () => {
  expect(pipelinePaths("/a\nb", "p").socket).toMatch(/^\/tmp\/flowctl-.+\.sock$/);
  expect(pipelinePaths("/a b%20?#:ä", "p").socket).toBe("/a b%20?#:ä/pipelines/p/supervisor.grpc.sock");
});

test.each(["../up", "a/b", "", ".", ".."])("the name %j is refused", (name) => {
  expect(() => pipelinePaths("/h", name)).toThrow(expect.objectContaining({ code: "process/bad-pipeline-name" }));
});

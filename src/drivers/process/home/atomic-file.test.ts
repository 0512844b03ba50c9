import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createFileOnce, notWritten, readRecord, writeFileAtomically } from "./atomic-file.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "flowctl-atomic-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("a file is replaced whole, for its owner only, and nothing else stays", async () => {
  const path = join(folder, "deep", "file.json");
  await writeFileAtomically(path, '{"n":1}');
  await Promise.all([2, 3, 4, 5].map((n) => writeFileAtomically(path, JSON.stringify({ version: 1, n }))));
  expect([2, 3, 4, 5]).toContain((await readRecord<{ version: 1; n: number }>(path))?.n);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(statSync(join(folder, "deep")).mode & 0o777).toBe(0o700);
  expect(readdirSync(join(folder, "deep"))).toEqual(["file.json"]);
});

test("of several that create a file at once, one does, and all find the same", async () => {
  const path = join(folder, "key");
  const found = await Promise.all(
    ["a", "b", "c", "d"].map(async (content) => {
      await createFileOnce(path, content);
      return readFileSync(path, "utf8");
    }),
  );
  expect(new Set(found).size).toBe(1);
  expect(readdirSync(folder)).toEqual(["key"]);
});

test("a record that is not there, not JSON or of another version is undefined", async () => {
  expect(await readRecord(join(folder, "none"))).toBeUndefined();
  for (const text of ['{"version":', "null", "1", '{"version":2}']) {
    writeFileSync(join(folder, "broken"), text);
    expect(await readRecord(join(folder, "broken"))).toBeUndefined();
  }
});

test("a folder that cannot be made is an error that says what to do", async () => {
  writeFileSync(join(folder, "file"), "");
  await expect(writeFileAtomically(join(folder, "file", "x"), "")).rejects.toMatchObject({
    code: "process/state-not-written",
    fix: expect.stringContaining("FLOWCTL_HOME"),
  });
});

test.runIf(existsSync("/proc/self"))("a folder that can be made nowhere is an error, and no wait", async () => {
  await expect(writeFileAtomically("/proc/none/deeper/x", "")).rejects.toMatchObject({
    code: "process/state-not-written",
  });
});

test("a full disk is told from a folder that may not be written", async () => {
  const full = Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
  expect(notWritten(full, "Cannot write it").fix).toBe("Free disk space, or set FLOWCTL_HOME to another folder");
});

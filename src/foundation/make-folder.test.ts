import { existsSync } from "node:fs";
import { mkdtemp, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeFolder } from "./make-folder.ts";

describe("making a folder", () => {
  let base = "";
  beforeEach(async () => {
    base = await mkdtemp(join(tmpdir(), "flowctl-make-folder-"));
  });
  afterEach(async () => {
    await rm(base, { recursive: true });
  });

  it("makes those above it, and tells the uppermost that it made", async () => {
    expect(await makeFolder(join(base, "a/b/c"))).toBe(join(base, "a"));
    expect((await stat(join(base, "a/b/c"))).isDirectory()).toBe(true);
    expect(await makeFolder(join(base, "a/b/c"))).toBeUndefined();
    expect(await makeFolder(join(base, "a/b/d"))).toBe(join(base, "a/b/d"));
  });

  it("gives all that it makes the mode", async () => {
    await makeFolder(join(base, "secret/deep"), 0o700);
    for (const path of ["secret", "secret/deep"]) expect((await stat(join(base, path))).mode & 0o777).toBe(0o700);
  });

  it("may be asked for by several at the same moment, and for what is there by another name", async () => {
    await Promise.all(["x", "x", "x/y", "x/z"].map((name) => makeFolder(join(base, "deep", name))));
    await symlink(join(base, "deep"), join(base, "link"));
    expect(await makeFolder(join(base, "link"))).toBeUndefined();
    expect(await makeFolder("/")).toBeUndefined();
  });

  it("refuses where a file is in the way", async () => {
    await writeFile(join(base, "taken"), "a file");
    await expect(makeFolder(join(base, "taken"))).rejects.toMatchObject({ code: "EEXIST" });
    await expect(makeFolder(join(base, "taken/below/it"))).rejects.toMatchObject({ code: "ENOTDIR" });
  });

  it.runIf(existsSync("/proc/self"))("ends where none can be made, with what the file system says", async () => {
    for (const path of ["/proc/none", "/proc/none/deeper/still"]) {
      await expect(makeFolder(path)).rejects.toMatchObject({ code: "ENOENT", path: "/proc/none" });
    }
  });
});

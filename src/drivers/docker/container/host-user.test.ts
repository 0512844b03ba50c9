import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Component, HostPath } from "../../../pipeline/pipeline.ts";
import { hostAccess } from "./host-user.ts";

const root = { uid: 0, gid: 0 };
const me = { uid: 1000, gid: 1001 };
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "flowctl-host-user-"));
});
afterEach(() => rm(folder, { recursive: true }));

const component = (...hostPaths: HostPath[]) =>
  ({ id: "a", type: "sink", replicas: 1, with: {}, hostPaths, mounts: [] }) as unknown as Component;
const written = () => ({ path: join(folder, "out"), access: "write" as const, kind: "folder" as const });

async function exists(owner?: { uid: number; gid: number }): Promise<void> {
  await mkdir(join(folder, "out"));
  if (owner !== undefined) await chown(join(folder, "out"), owner.uid, owner.gid);
}

async function file(mode: number): Promise<string> {
  const path = join(folder, "out", "events.jsonl");
  await writeFile(path, "");
  await chmod(path, mode);
  return path;
}

describe("the user of a container with host folders", () => {
  it("is nobody in particular without such folders", async () => {
    expect(await hostAccess(component(), root)).toEqual({ folders: [], files: [] });
  });

  it("is whoever runs flowctl, for whom a missing folder is made", async () => {
    expect(await hostAccess(component(written()), me)).toEqual({
      user: "1000:1001",
      folders: [{ path: join(folder, "out"), ...me }],
      files: [],
    });
  });

  it("is flowctl's own user when root has a folder made", async () => {
    expect(await hostAccess(component(written()), root)).toEqual({
      user: "10001:10001",
      folders: [{ path: join(folder, "out"), uid: 10001, gid: 10001 }],
      files: [],
    });
  });

  it("names a folder that is read and missing", async () => {
    const missing = { path: join(folder, "in"), access: "read" as const, kind: "folder" as const };
    await expect(hostAccess(component(missing), root)).rejects.toMatchObject({
      code: "docker/path-missing",
      message: expect.stringContaining(join(folder, "in")),
    });
  });

  it("has each instance's file made before it is mounted, and one that is read has to be there", async () => {
    const path = join(folder, "{instance}.jsonl");
    const sink = { ...component({ path, access: "write", kind: "file" }), replicas: 2 };
    expect(await hostAccess(sink, me)).toEqual({
      user: "1000:1001",
      folders: [],
      files: [{ path: join(folder, "1.jsonl") }, { path: join(folder, "2.jsonl") }],
    });
    const source = component({ path: join(folder, "in.csv"), access: "read", kind: "file" });
    await expect(hostAccess(source, me)).rejects.toMatchObject({ code: "docker/path-missing" });
  });

  it("is not given a folder of many other things", async () => {
    const shared = component({ path: folder, access: "read", kind: "folder", isShared: true });
    await expect(hostAccess(shared, me)).rejects.toMatchObject({ code: "docker/shared-folder", path: "sinks.a.with" });
  });

  describe.runIf(process.getuid?.() === 0)("of whom root can say", () => {
    it("is the owner of a file that it writes, or of the folder in which that is made", async () => {
      const path = join(folder, "out", "events.jsonl");
      const sink = component({ path, access: "write", kind: "file" });
      await exists({ uid: 1234, gid: 1235 });
      const owner = { uid: 1234, gid: 1235 };
      expect(await hostAccess(sink, root)).toEqual({ user: "1234:1235", folders: [], files: [{ path, ...owner }] });
      await file(0o644);
      expect((await hostAccess(sink, root)).user).toBe("0:0");
    });

    it("is the owner of a folder that it writes, and the same after the folder was made", async () => {
      await exists({ uid: 10001, gid: 10001 });
      expect(await hostAccess(component(written()), root)).toEqual({ user: "10001:10001", folders: [], files: [] });
    });

    it("is root only for a folder of root's that root wants written", async () => {
      await exists();
      expect((await hostAccess(component(written()), root)).user).toBe("0:0");
      expect((await hostAccess(component(written()), me)).user).toBe("1000:1001");
    });

    it("is not root for a folder of root's that is only read", async () => {
      await exists();
      expect((await hostAccess(component({ ...written(), access: "read" }), root)).user).toBe("10001:10001");
    });

    it("is the owner of a file that nobody else can read", async () => {
      await exists();
      const reader = { ...component({ ...written(), access: "read" }), with: { path: await file(0o600) } } as Component;
      expect((await hostAccess(reader, root)).user).toBe("0:0");
      await chmod(reader.with.path as string, 0o604);
      expect((await hostAccess(reader, root)).user).toBe("10001:10001");
      await chmod(join(folder, "out"), 0o700);
      expect((await hostAccess(reader, root)).user).toBe("0:0");
    });

    it("is the owner of a file that is gone on with, whoever owns its folder", async () => {
      await exists({ uid: 10001, gid: 10001 });
      const writer = { ...component(written()), with: { path: await file(0o644) } } as Component;
      expect((await hostAccess(writer, root)).user).toBe("0:0");
      await chown(writer.with.path as string, 1234, 1235);
      expect((await hostAccess(writer, root)).user).toBe("1234:1235");
    });
  });
});

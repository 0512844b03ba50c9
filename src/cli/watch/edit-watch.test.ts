import { mkdir, mkdtemp, readFile, rename, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../foundation/clock.ts";
import { type Edit, EditWatch } from "./edit-watch.ts";
import { Snapshots } from "./snapshot.ts";
import type { Watched } from "./watched.ts";

let folder: string;
let watching: EditWatch;
const never = new AbortController().signal;

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await writeFile(join(folder, path), text);
}

const read = (path: string): Watched => ({ root: { path: join(folder, path) }, effect: "read", owner: "" });
const tree = (path: string, effect: "build" | "recreate", ignores?: (path: string) => boolean): Watched => ({
  root: { path: join(folder, path), ...(ignores === undefined ? {} : { ignores }) },
  effect,
  owner: path,
});
const plain = ({ paths, build, recreate }: Edit) => ({
  paths: paths.map((path) => path.slice(folder.length + 1)),
  build: [...build],
  recreate: [...recreate],
});
const nothing = { build: [], recreate: [] };

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "flowctl-watch-"));
  watching = new EditWatch(systemClock);
});

afterEach(async () => {
  watching.close();
  await rm(folder, { recursive: true, force: true });
});

describe("a watch for edits", () => {
  it("tells of what was written, replaced by renaming, made and deleted, with what it is part of", async () => {
    await write("p.yaml", "1");
    await write("app/deep/main.js", "1");
    await watching.set(
      [read("p.yaml"), read("later.env"), tree("app", "recreate"), tree("app", "build")],
      Number.POSITIVE_INFINITY,
    );
    await write("p.yaml", "2");
    expect(plain(await watching.next(never))).toEqual({ paths: ["p.yaml"], ...nothing });
    await write("p.tmp", "3");
    await rename(join(folder, "p.tmp"), join(folder, "p.yaml"));
    expect(plain(await watching.next(never))).toEqual({ paths: ["p.yaml"], ...nothing });
    await write("later.env", "1");
    expect(plain(await watching.next(never))).toEqual({ paths: ["later.env"], ...nothing });
    await write("app/deep/deeper/new.js", "1");
    const app = { build: ["app"], recreate: ["app"] };
    expect(plain(await watching.next(never))).toEqual({ paths: ["app/deep/deeper/new.js"], ...app });
    await write("app/deep/deeper/new.js", "2");
    expect(plain(await watching.next(never))).toEqual({ paths: ["app/deep/deeper/new.js"], ...app });
    await rm(join(folder, "app"), { recursive: true });
    expect(plain(await watching.next(never))).toEqual({
      paths: ["app/deep/deeper/new.js", "app/deep/main.js"],
      ...app,
    });
    await write("app/deep/main.js", "2");
    expect(plain(await watching.next(never))).toEqual({ paths: ["app/deep/main.js"], ...app });
    await write("app/deep/main.js", "3");
    expect(plain(await watching.next(never))).toEqual({ paths: ["app/deep/main.js"], ...app });
  });

  it("says nothing of what is as it was: saved again, touched, changed back, or gone for a moment", async () => {
    await write("p.yaml", "1");
    await write("q.yaml", "1");
    await watching.set([read("p.yaml"), read("q.yaml")], Number.POSITIVE_INFINITY);
    await write("p.yaml", "2");
    await write("p.yaml", "1");
    await utimes(join(folder, "p.yaml"), new Date(), new Date());
    await rm(join(folder, "p.yaml"));
    const edit = watching.next(never);
    await write("p.yaml", "1");
    await write("q.yaml", "2");
    expect(plain(await edit)).toEqual({ paths: ["q.yaml"], ...nothing });
  });

  it("leaves out what is ignored, and tells of edits from while it was not waited for", async () => {
    await write("app/main.js", "1");
    await watching.set([tree("app", "build", (path) => path.endsWith(".log"))], Number.POSITIVE_INFINITY);
    await write("app/main.log", "1");
    await write("app/main.js", "2");
    await write("app/main.js", "3");
    expect(plain(await watching.next(never))).toEqual({ paths: ["app/main.js"], build: ["app"], recreate: [] });
  });

  it("counts as edited what was written since it may have been read", async () => {
    await write("p.yaml", "1");
    await watching.set([read("p.yaml")], 0);
    expect(plain(await watching.next(never))).toEqual({ paths: ["p.yaml"], ...nothing });
  });

  it("counts as edited a link that was led elsewhere, and what it leads to that was written, since it may have been read", async () => {
    await write("v1.yaml", "1");
    await write("app/main.js", "1");
    await write("shared.js", "1");
    await symlink("../shared.js", join(folder, "app/shared.js"));
    const since = Date.now() + 20;
    while (Date.now() <= since + 20) await new Promise((resolve) => setTimeout(resolve, 5));
    await symlink("v1.yaml", join(folder, "p.yaml"));
    await write("shared.js", "2");
    await watching.set([read("p.yaml"), tree("app", "build", () => false)], since);
    expect(plain(await watching.next(never)).paths).toEqual(["app/shared.js", "p.yaml"]);
  });

  it("ends with the signal, and what was not told by then is told by the next one", async () => {
    await write("p.yaml", "1");
    await watching.set([read("p.yaml")], Number.POSITIVE_INFINITY);
    const stop = new AbortController();
    const ended = watching.next(stop.signal);
    stop.abort(new Error("enough"));
    await expect(ended).rejects.toThrow();
    await write("p.yaml", "2");
    expect(plain(await watching.next(never))).toEqual({ paths: ["p.yaml"], ...nothing });
  });

  it("tells of what was saved while it was read for the first time", async () => {
    await write("p.yaml", "1");
    // The clock of a file system goes by ticks of some milliseconds.
    const since = (await stat(join(folder, "p.yaml"))).ctimeMs + 10;
    while (Date.now() <= since + 10) await new Promise((resolve) => setTimeout(resolve, 5));
    let saved = false;
    const saving = new Snapshots(async (path) => {
      if (!saved) await write("p.yaml", "2");
      saved = true;
      return readFile(path);
    });
    const racing = new EditWatch(systemClock, saving);
    try {
      await racing.set([read("p.yaml")], since);
      expect(plain(await racing.next(never))).toEqual({ paths: ["p.yaml"], ...nothing });
    } finally {
      racing.close();
    }
  });
});

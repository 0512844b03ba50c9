import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Level } from "level";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openLevelStore } from "./level-store.ts";
import { createMemoryStore } from "./memory-store.ts";
import type { Store } from "./store.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "flowctl-store-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const put = (key: string, value: string) => ({ type: "put", key, value: Buffer.from(value) }) as const;
const read = async (store: Store, prefix: string) =>
  (await store.entries(prefix)).map(([key, value]) => `${key}=${Buffer.from(value).toString()}`);

describe.each([
  ["LevelDB", () => openLevelStore(join(folder, "db"))],
  ["memory", async () => createMemoryStore()],
])("a store in %s", (_, open) => {
  it("gives back what was written, by prefix, in the order of the keys", async () => {
    const store = await open();
    await store.write([put("b/2", "x"), put("b/1", "ü"), put("a/1", "y"), put("b", "z"), put("c/1", "")], {
      durable: true,
    });
    await store.write([put("b/2", "new"), { type: "del", key: "c/1" }], { durable: false });
    expect(await read(store, "b/")).toEqual(["b/1=ü", "b/2=new"]);
    expect(await read(store, "c/")).toEqual([]);
    expect(await read(store, "a")).toEqual(["a/1=y"]);
    await store.close();
    await store.close();
  });
});

describe("a store in LevelDB", () => {
  it("has everything when it is opened again", async () => {
    const first = await openLevelStore(folder);
    await first.write([put("k", "v")], { durable: true });
    await first.close();
    const second = await openLevelStore(folder);
    expect(await read(second, "k")).toEqual(["k=v"]);
    await second.close();
  });

  it("is refused while another process has it open", async () => {
    const store = await openLevelStore(folder);
    const module = join(import.meta.dirname, "level-store.ts");
    const script = `import(${JSON.stringify(module)}).then((m) => m.openLevelStore(${JSON.stringify(folder)})).then(
      () => console.log("opened"), (error) => console.log(error.code, error.kind))`;
    const other = spawnSync(process.execPath, ["--import", "tsx", "--eval", script], { encoding: "utf8" });
    expect(other.stdout.trim()).toBe("store/locked conflict");
    await store.write([put("k", "v")], { durable: true });
    await store.close();
  });

  it("is refused when its files are damaged or its head is missing, instead of looking empty", async () => {
    const store = await openLevelStore(folder);
    await store.write([put("k", "v")], { durable: true });
    await store.close();
    const manifest = (await readdir(folder)).find((file) => file.startsWith("MANIFEST")) ?? "";
    await writeFile(join(folder, manifest), "nonsense");
    await expect(openLevelStore(folder)).rejects.toMatchObject({ code: "store/damaged", kind: "failed" });
    await rm(join(folder, "CURRENT"));
    await expect(openLevelStore(folder)).rejects.toMatchObject({ code: "store/damaged" });
  });

  it("that a kill left before anything was in it, is made anew; nothing is taken for damage while one is being made", async () => {
    await writeFile(join(folder, "MANIFEST-000001"), "");
    await writeFile(join(folder, "LOCK"), "");
    const store = await openLevelStore(folder);
    await store.write([{ type: "put", key: "a", value: Buffer.from("1") }], { durable: true });
    await store.close();
    const folders = Array.from({ length: 20 }, (_, i) => join(folder, `new-${i}`));
    for (const made of await Promise.all(folders.map((each) => openLevelStore(each)))) await made.close();
  });

  it("of another version, or of another program, is refused and left as it is", async () => {
    const foreign = new Level(folder);
    await foreign.put("somebody's", "data");
    await foreign.close();
    await expect(openLevelStore(folder)).rejects.toMatchObject({ code: "store/unknown-format" });
    const again = new Level(folder);
    expect(await again.keys().all()).toEqual(["somebody's"]);
    await again.put("!format", "flowctl-control-plane/99");
    await again.close();
    await expect(openLevelStore(folder)).rejects.toMatchObject({
      code: "store/unknown-format",
      message: expect.stringContaining("flowctl-control-plane/99"),
    });
  });

  it("says what is wrong with a folder that it cannot use", async () => {
    const file = join(folder, "file");
    await writeFile(file, "");
    await expect(openLevelStore(join(file, "db"))).rejects.toMatchObject({ code: "store/failed", kind: "unavailable" });
  });
});

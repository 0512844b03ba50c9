import { spawnSync } from "node:child_process";
import { cp, mkdtemp, readdir, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Level } from "level";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openLevelStore } from "./level-store.ts";
import { createMemoryStore } from "./memory-store.ts";
import type { Store } from "./store.ts";
import { StoreSeal } from "./store-seal.ts";

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

  const damages: readonly [string, (file: string) => Promise<void>][] = [
    ["cut off", async (file) => truncate(file, 0)],
    ["cut in the middle", async (file) => truncate(file, Math.floor((await stat(file)).size / 2))],
    ["overwritten", async (file) => writeFile(file, Buffer.alloc((await stat(file)).size, 0x55))],
    ["removed", async (file) => rm(file)],
  ];

  it.each(damages)(
    "is refused when its log or a table was %s while it was closed, and something of it is gone",
    async (_, damage) => {
      let refused = 0;
      for (const opened of [1, 2, 3]) {
        const original = join(folder, `${opened}`);
        // A second and a third time: what the log held is in a table then.
        for (let turn = 1; turn <= opened; turn++) {
          const store = await openLevelStore(original);
          await store.write([put("k", `${turn}`), put("position/a", "7")], { durable: true });
          await store.close();
        }
        for (const file of (await readdir(original)).filter((name) => /^\d+\.(ldb|log)$/.test(name))) {
          const copy = join(folder, `${opened}-${file}`);
          await cp(original, copy, { recursive: true });
          await damage(join(copy, file));
          const found = await openLevelStore(copy).then(
            async (store) => (await read(store, "")).join(),
            (error: { readonly code: string; readonly fix: string }) => `${error.code} ${error.fix}`,
          );
          // The last entry of the log only repeats what is there.
          if (found === `!format=flowctl-control-plane/1,k=${opened},position/a=7`) continue;
          expect(found, file).toMatch(/^store\/damaged .*flowctl down -v/);
          refused++;
        }
      }
      expect(refused).toBeGreaterThanOrEqual(3);
    },
  );

  it("whose log was cut off after a kill is refused where nothing is left, and opened where the end of it is missing", async () => {
    const module = join(import.meta.dirname, "level-store.ts");
    const killed = join(folder, "killed");
    const script = `import(${JSON.stringify(module)}).then((m) => m.openLevelStore(${JSON.stringify(killed)})).then(
      async (store) => {
        for (const n of [1, 2, 3]) await store.write([{ type: "put", key: "k" + n, value: Buffer.from("v") }], { durable: true });
        process.kill(process.pid, "SIGKILL");
      })`;
    spawnSync(process.execPath, ["--import", "tsx", "--eval", script]);
    const log = (await readdir(killed)).find((file) => file.endsWith(".log")) ?? "";
    const copy = join(folder, "copy");
    await cp(killed, copy, { recursive: true });
    await truncate(join(killed, log), (await stat(join(killed, log))).size - 3);
    const store = await openLevelStore(killed);
    expect(await read(store, "k")).toEqual(["k1=v", "k2=v"]);
    await store.close();
    await truncate(join(copy, log), 0);
    await expect(openLevelStore(copy)).rejects.toMatchObject({ code: "store/damaged" });
  });

  it("whose disk fails is not called damaged, as what it holds may be read the next time", async () => {
    const place = join(folder, "sealed");
    const store = await openLevelStore(place);
    await store.write([put("a", "1")], { durable: true });
    await store.close();
    const failing = (text: string): Level<string, Uint8Array> => {
      const cause = Object.assign(new Error(`IO error: ${place}/000005.ldb: ${text}`), { code: "LEVEL_IO_ERROR" });
      return { get: () => Promise.reject(new Error("Could not get value", { cause })) } as unknown as Level<
        string,
        Uint8Array
      >;
    };
    const seal = new StoreSeal(place);
    await expect(seal.broken(failing("Input/output error"))).rejects.toThrow("Could not get value");
    expect(await seal.broken(failing("truncated block read"))).toContain("part of it cannot be read");
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

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { temporaryDirectory } from "../component-harness.fake.ts";
import { SeenIds } from "./seen-ids.ts";

it("remembers over a restart what was acknowledged, each id written down once", async () => {
  await using directory = await temporaryDirectory();
  const seen = await SeenIds.open(directory.path, "seen", 100);
  for (const [mark, id] of ["a", "b", "c", "d"].entries()) seen.emitted(id, mark);
  await seen.acknowledged(1);
  await seen.acknowledged(1);
  await seen.acknowledged(2);
  expect(["a", "b", "c", "d"].map((id) => seen.has(id))).toEqual([true, true, true, true]);
  await seen.close();

  const again = await SeenIds.open(directory.path, "seen", 100);
  expect(["a", "b", "c", "d"].map((id) => again.has(id))).toEqual([true, true, true, false]);
  await again.close();
  const [file = ""] = await readdir(directory.path);
  expect(await readFile(join(directory.path, file), "utf8")).toBe('{"ids":["a","b"]}\n{"ids":["c"]}\n');
});

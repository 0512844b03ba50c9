import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { builtinCatalog } from "../../components/catalog.ts";
import { loadPipeline } from "../../pipeline/load-pipeline.ts";
import { watchedOf } from "./watched.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "flowctl-watched-"));
  await mkdir(join(folder, "app"));
  await writeFile(join(folder, "app/main.js"), "");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("the folder that a program runs from", () => {
  it("is watched but for what the pipeline writes there, each instance included", async () => {
    const file = join(folder, "flow.yaml");
    await writeFile(
      file,
      `
sources: { feed: { command: [node, main.js], working_dir: ./app } }
sinks:
  all: { uses: file, inputs: [feed], with: { path: ./app/all/events.jsonl } }
  each: { uses: file, inputs: [feed], with: { path: "./app/{instance}/events.jsonl" }, deploy: { replicas: 2 } }
`,
    );
    const result = await loadPipeline({ files: [file], catalog: builtinCatalog, env: {} });
    if (!result.ok) throw new Error(JSON.stringify(result.problems));
    const watched = await watchedOf(result.pipeline, [file], false);
    const app = watched.find(({ root }) => root.path === join(folder, "app"))?.root;
    const ignored = ["main.js", "all/events.jsonl", "1/events.jsonl", "2/events.jsonl", "3/notes.js"].filter((path) =>
      app?.ignores?.(path),
    );
    expect(ignored).toEqual(["all/events.jsonl", "1/events.jsonl", "2/events.jsonl"]);
  });
});

import { expect, it } from "vitest";
import { builtinCatalog } from "../../components/catalog.ts";
import type { Component } from "../../pipeline/pipeline.ts";
import type { PartitionRecord, PipelineRecord } from "../../protocol/records.ts";
import { sourceNotes } from "./source-notes.ts";

const file = (path: string) => ({ id: "feed", type: "source", uses: "file", with: { path } }) as unknown as Component;
const notes = (component: Component, ...partitions: PartitionRecord[]) =>
  sourceNotes(
    { components: [component] },
    { components: [{ id: "feed", partitions }] } as unknown as PipelineRecord,
    builtinCatalog,
  );
const read = (path: string, current: boolean): PartitionRecord => ({
  id: path,
  identity: path,
  instanceId: "",
  started: true,
  finished: false,
  current,
});

it("says that a source reads something else than it did, and where it begins", () => {
  expect(notes(file("/b"), read("/a", true))).toEqual([
    "source feed reads /b instead of /a: it starts from the beginning",
  ]);
  expect(notes(file("/b"), read("/a", true), read("/b", false))).toEqual([
    "source feed reads /b instead of /a: it goes on where it was",
  ]);
});

it("says nothing of a source that reads what it did, or of which nothing is known", () => {
  expect(notes(file("/a"), read("/a", true), read("/b", false))).toEqual([]);
  expect(notes(file("/a"))).toEqual([]);
  expect(sourceNotes({ components: [file("/a")] }, undefined, builtinCatalog)).toEqual([]);
});

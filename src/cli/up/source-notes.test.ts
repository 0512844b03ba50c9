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

it("says that a new source does not go on where a removed one was", () => {
  const other = { ...file("/a"), id: "renamed" };
  const record = (type: string, started: boolean) =>
    ({
      components: [{ id: "feed", type, partitions: [{ ...read("/a", true), started }] }],
    }) as unknown as PipelineRecord;
  const of = (components: readonly Component[], before: PipelineRecord) =>
    sourceNotes({ components }, before, builtinCatalog);
  expect(of([other], record("source", true))).toEqual(["source renamed is new: it does not go on where feed was"]);
  expect(of([other], record("source", false))).toEqual([]);
  expect(of([other], record("sink", true))).toEqual([]);
  expect(of([file("/a"), other], record("source", true))).toEqual([]);
  expect(of([{ ...other, type: "sink" }], record("source", true))).toEqual([]);
});

import { describe, expect, it } from "vitest";
import * as z from "zod";
import { builtinKey } from "../pipeline/catalog.ts";
import { builtinCatalog } from "./catalog.ts";

const specs = [...builtinCatalog];

function check(key: string, settings: Record<string, unknown>): unknown {
  const spec = builtinCatalog.get(key);
  if (spec === undefined) throw new Error(`no ${key}`);
  return spec.check?.(spec.schema.parse(settings)) ?? [];
}

describe("the catalog", () => {
  it("knows a file source and a file sink apart", () => {
    expect(builtinCatalog.get(builtinKey("source", "file"))?.type).toBe("source");
    expect(builtinCatalog.get(builtinKey("sink", "file"))?.type).toBe("sink");
  });

  it.each(specs)("%s stands under its own key", (key, spec) => {
    expect(key).toBe(builtinKey(spec.type, spec.name));
  });

  it.each(specs)("%s refuses unknown keys and describes each of its own", (_key, spec) => {
    const schema = z.toJSONSchema(spec.schema, { io: "input" }) as {
      additionalProperties?: unknown;
      properties: Record<string, { description?: string }>;
    };
    expect(schema.additionalProperties).toBe(false);
    for (const [key, property] of Object.entries(schema.properties)) {
      expect(property.description, key).toMatch(/\.$/);
    }
  });

  it.each(specs)("%s accepts its own settings again, unchanged: they are checked twice on their way", (key, spec) => {
    const required: Record<string, Record<string, unknown>> = {
      "source/dead-letters": { path: "rejected.jsonl" },
      "source/file": { path: "a.jsonl" },
      "source/http-poll": { url: "http://localhost/" },
      "source/generator": { template: { n: "sequence", list: [1, "random()"] } },
      "processor/filter": { where: "true" },
      "processor/map": { to: { a: "payload.a" }, set: { b: "1" } },
      "processor/sample": { rate: 0.1 },
      "processor/throttle": { rate: 5 },
      "processor/unnest": { items: "payload.lines", to: { a: "item" } },
      "sink/file": { path: "out.jsonl" },
      "source/postgres": { url: "postgres://app@db/shop", table: "orders" },
      "sink/postgres": { url: "postgres://app@db/shop", table: "quakes" },
    };
    const once = spec.schema.parse(required[key] ?? {});
    expect(spec.schema.parse(JSON.parse(JSON.stringify(once)))).toEqual(once);
  });

  it("points into the expression that does not compile", () => {
    expect(check("processor/filter", { where: "payload.mag >= 4.5 && magnitude > 1" })).toMatchObject([
      { path: ["where"], offset: 22 },
    ]);
    expect(check("processor/map", { to: { a: { b: ["1", "nope"] } } })).toMatchObject([{ path: ["to", "a", "b", 1] }]);
    expect(check("source/generator", { template: { a: "sequence +" } })).toMatchObject([{ path: ["template", "a"] }]);
  });

  it("reports an expression of the wrong type", () => {
    expect(check("processor/filter", { where: "'text'" })).toMatchObject([{ path: ["where"] }]);
    expect(check("processor/map", { timestamp: "'text'" })).toMatchObject([{ path: ["timestamp"] }]);
    expect(check("processor/filter", { where: "payload.ok" })).toEqual([]);
    expect(check("processor/unnest", { items: "type" })).toMatchObject([{ path: ["items"] }]);
    expect(check("processor/unnest", { items: "[type]" })).toEqual([]);
    expect(check("processor/unnest", { items: "payload.lines" })).toEqual([]);
    expect(check("processor/unnest", { items: "[1]", to: { a: "index + 1", b: "item.n" } })).toEqual([]);
    expect(check("processor/unnest", { items: "item" })).toMatchObject([{ path: ["items"] }]);
    expect(check("processor/sample", { rate: 0.5, by: "payload.x +" })).toMatchObject([{ path: ["by"] }]);
  });

  it("reports settings that exclude each other", () => {
    expect(check("source/file", { path: "a.csv", format: "csv", follow: true })).toMatchObject([{ path: ["follow"] }]);
    expect(check("source/file", { path: "a.jsonl.gz", follow: true })).toMatchObject([{ path: ["follow"] }]);
    expect(check("source/file", { path: "a.jsonl", items: "rows" })).toMatchObject([{ path: ["items"] }]);
    expect(check("processor/map", { type: "a", type_from: "'b'" })).toMatchObject([{ path: ["type_from"] }]);
    expect(check("source/http-poll", { url: "http://h/", body: "x" })).toMatchObject([{ path: ["body"] }]);
  });

  it("has a file sink that keeps dead letters whole unless told to write payloads alone", () => {
    const spec = builtinCatalog.get("sink/file");
    const lossOf = (settings: Record<string, unknown>): unknown => spec?.losesDeadLetters?.(settings);
    expect(lossOf({ path: "a" })).toBeUndefined();
    expect(lossOf({ path: "a", format: "event" })).toBeUndefined();
    expect(lossOf({ path: "a", format: "payload" })).toMatchObject({ path: ["format"] });
  });

  it("names the secrets that http-poll needs", () => {
    const spec = builtinCatalog.get("source/http-poll");
    const settings = spec?.schema.parse({ url: "http://h/", header_secrets: { Authorization: "token" } }) ?? {};
    expect(spec?.secretsOf?.(settings)).toEqual(["token"]);
  });
});

import { appendFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../foundation/clock.ts";
import type { Logger } from "../../sdk/index.ts";
import { type Emitted, payloadJson, payloadText, runSource, temporaryDirectory } from "../component-harness.fake.ts";
import { type FileSourceConfig, fileSourcePartitions } from "./file.spec.ts";
import { createFileSource } from "./file.ts";

const source = createFileSource(systemClock);

async function emitted(
  content: string | Uint8Array,
  config: Record<string, unknown>,
  position?: unknown,
): Promise<Emitted[]> {
  await using directory = await temporaryDirectory();
  const path = join(directory.path, String(config.path ?? "in.txt"));
  await writeFile(path, content);
  // As if it lay at one path always.
  return await runSource(source, { config: { ...config, path }, position, partition: { id: "in", identity: "in" } });
}

async function payloads(content: string | Uint8Array, config: Record<string, unknown>): Promise<unknown[]> {
  return (await emitted(content, config)).map(({ event }) => payloadJson(event));
}

describe("the file source", () => {
  it("emits the lines of a JSON lines file as the bytes they are", async () => {
    const out = await emitted('{"a": 1.0}\n\n  \r\n[2]\r\n"last"', { type: "row" });
    expect(out.map(({ event }) => payloadText(event))).toEqual(['{"a": 1.0}', "[2]", '"last"']);
    expect(out[0]?.event).toMatchObject({ type: "row", contentType: "application/json" });
  });

  it("emits plain lines as text, empty ones too", async () => {
    const out = await emitted("one\n\nZoë", { format: "lines" });
    expect(out.map(({ event }) => payloadText(event))).toEqual(["one", "", "Zoë"]);
    expect(out[0]?.event.contentType).toBe("text/plain");
  });

  it("emits CSV records as objects named by the first record", async () => {
    const csv = '\ufeffname,mag,ok,note\r\n"Zoë, ""x""",4.5,true,"a\r\nb"\r\n\r\nbob,,false,007\r\n';
    expect(await payloads(csv, { format: "csv" })).toEqual([
      { name: 'Zoë, "x"', mag: 4.5, ok: true, note: "a\r\nb" },
      { name: "bob", mag: null, ok: false, note: "007" },
    ]);
    expect(await payloads("a\tb\n1\t2\n", { format: "csv", delimiter: "\t", cast: false })).toEqual([
      { a: "1", b: "2" },
    ]);
  });

  it("emits the items of an array in a JSON document", async () => {
    const document = JSON.stringify({ type: "FeatureCollection", data: { features: [{ n: 1 }, { n: 2 }, null] } });
    expect(await payloads(document, { format: "json", items: "data.features" })).toEqual([{ n: 1 }, { n: 2 }, null]);
    expect(await payloads("[1, 2]", { format: "json" })).toEqual([1, 2]);
  });

  it("reads gzip, by its name or when told so", async () => {
    const content = gzipSync('{"a":1}\n{"a":2}\n');
    expect(await payloads(content, { path: "in.jsonl.gz" })).toEqual([{ a: 1 }, { a: 2 }]);
    expect(await payloads(content, { compression: "gzip" })).toEqual([{ a: 1 }, { a: 2 }]);
    expect(await payloads(gzipSync("[1]"), { path: "in.json.gz", format: "json" })).toEqual([1]);
  });

  it.each([
    ["jsonl", '{"a":1}\n{"a":\n{"a":3}\n', ":2: invalid JSON"],
    ["jsonl", Buffer.from([0x22, 0xff, 0x22, 0x0a]), ":1: invalid JSON"],
    ["csv", "a,b\n1,2\n3\n4,5\n", ":3: "],
    ["csv", 'a,b\n1,2\n3,x"y\n', ":3: "],
    ["lines", `ok\n${"x".repeat(50)}\n`, ":2: the line exceeds 20 bytes"],
  ])("ends at a bad line of a %s file, naming file and line", async (format, content, text) => {
    const config = { format, max_line_bytes: 20 };
    await expect(emitted(content, config)).rejects.toMatchObject({
      code: "components/bad-line",
      message: expect.stringContaining(`in.txt${text}`),
      position: { line: Number(text.split(":")[1]) },
    });
  });

  it.each([
    ["jsonl", '{"a":1}\n{"a":\n{"a":3}\n', [{ a: 1 }, { a: 3 }]],
    [
      "csv",
      'a,b\n1,2\n3\n5,x"y\n4,5\n',
      [
        { a: 1, b: 2 },
        { a: 4, b: 5 },
      ],
    ],
  ])("skips and counts bad lines of a %s file when told so", async (format, content, expected) => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "in");
    await writeFile(path, content);
    const warnings: Record<string, unknown>[] = [];
    const log = { debugging: false, warn: (_: string, fields = {}) => void warnings.push(fields) } as unknown as Logger;
    const out = await runSource(source, { config: { format, path, on_bad_line: "skip" }, log });
    expect(out.map(({ event }) => payloadJson(event))).toEqual(expected);
    expect(warnings[0]).toMatchObject({ file: path, reason: expect.any(String) });
    expect(warnings.at(-1)).toMatchObject({ lines: expect.any(Number) });
  });

  it.each([
    [{ path: "/nonexistent/file.jsonl" }, "components/file-unreadable"],
    [{ path: "/nonexistent/file.csv", format: "csv" }, "components/file-unreadable"],
    [{ path: "/nonexistent/file.json", format: "json" }, "components/file-unreadable"],
    [{ path: "/" }, "components/file-unreadable"],
  ])("says that %j cannot be read", async (config, code) => {
    await expect(runSource(source, { config })).rejects.toMatchObject({ code });
  });

  it("says where the arrays are when there is none where it was told", async () => {
    await expect(emitted('{"rows": [], "n": 1}', { format: "json", items: "items" })).rejects.toMatchObject({
      code: "components/no-items",
      fix: expect.stringContaining("rows"),
    });
    await expect(emitted('{"a":1}\n{"a":2}', { format: "json" })).rejects.toMatchObject({
      code: "components/bad-document",
    });
  });

  it("stops reading when it is told to", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "in.jsonl");
    await writeFile(path, "1\n2\n3\n4\n");
    const stop = new AbortController();
    const onEmit = ({ event }: Emitted): void => {
      if (payloadText(event) === "2") stop.abort();
    };
    expect(await runSource(source, { config: { path }, signal: stop.signal, onEmit })).toHaveLength(2);
  });

  it("counts lines from the start of the file after it was resumed, too", async () => {
    for (const [format, content, line] of [
      ["csv", 'a\n"1\n1"\n2\n\n3,3\n', 6],
      ["jsonl", "1\n\n2\n?\n", 4],
    ] as const) {
      const [first, second] = await emitted(content.replace(/3,3|\?/, "4"), { format });
      for (const position of [undefined, first?.position, second?.position]) {
        await expect(emitted(content, { format }, position)).rejects.toMatchObject({ position: { line } });
      }
    }
  });

  it("resumed after any event, emits exactly the rest, under the same ids", async () => {
    const cell = fc.constantFrom("1", "x", "", '"q,\r\n""é"""', "-2.5", "Zoë");
    const breaks = fc.constantFrom("\n", "\r\n");
    const csv = fc
      .tuple(fc.array(fc.tuple(cell, cell), { maxLength: 6 }), breaks, fc.boolean(), fc.boolean())
      .map(([rows, end, mark, ends]) => {
        const text = ["a,b", ...rows.map((row) => row.join(","))].join(end) + (ends ? end : "");
        return { format: "csv", content: Buffer.from((mark ? "\ufeff" : "") + text) };
      });
    const value = fc.constantFrom('{"a":"é"}', "", "[1,2]", "  ", "3");
    const jsonl = fc.tuple(fc.array(value, { maxLength: 6 }), breaks, fc.boolean()).map(([rows, end, zip]) => {
      const content = Buffer.from(rows.join(end));
      return { format: "jsonl", content: zip ? gzipSync(content) : content, compression: zip ? "gzip" : "none" };
    });
    const json = fc
      .array(fc.jsonValue())
      .map((items) => ({ format: "json", content: Buffer.from(JSON.stringify(items)) }));
    await fc.assert(
      fc.asyncProperty(fc.oneof(csv, jsonl, json), async ({ content, ...config }) => {
        const whole = await emitted(content, config);
        expect(new Set(whole.map(({ event }) => event.id)).size).toBe(whole.length);
        for (const [index, { position }] of whole.entries()) {
          const rest = await emitted(content, config, position);
          const plain = (one: Emitted): unknown => ({
            ...one,
            event: { ...one.event, payload: payloadText(one.event) },
          });
          expect(rest.map(plain)).toEqual(whole.slice(index + 1).map(plain));
        }
      }),
      { numRuns: 60 },
    );
  });

  it("keeps positions by path and by what they count", () => {
    const identity = (config: Partial<FileSourceConfig>): string =>
      fileSourcePartitions({ path: "/a", format: "jsonl", follow: false, items: undefined, ...config })[0]!.identity;
    const others = [{ path: "/b" }, { follow: true }, { format: "json" }, { format: "json", items: "rows" }] as const;
    expect(new Set([identity({}), ...others.map(identity)]).size).toBe(5);
    expect(identity({ format: "lines" })).toBe(identity({}));
  });

  it.each([
    ["begins differently", '{"b":1}\n{"b":2}\n{"b":3}\n'],
    ["is shorter than the part already read", '{"a":1}\n'],
  ])("reads another file of the same path from its start, under other ids, where it %s", async (_, content) => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "in.jsonl");
    await writeFile(path, '{"a":1}\n{"a":2}\n');
    const before = await runSource(source, { config: { path } });
    await writeFile(path, content);
    const warnings: string[] = [];
    const log = { debugging: false, warn: (text: string) => void warnings.push(text) } as unknown as Logger;
    const after = await runSource(source, { config: { path }, position: before[1]?.position, log });
    expect(after.map(({ event }) => `${payloadText(event)}\n`).join("")).toBe(content);
    const ids = [...before, ...after].map(({ event }) => event.id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(warnings).toEqual([expect.stringContaining("the file was replaced")]);
    // Resumed once more, it is known as what it is by now.
    expect(await runSource(source, { config: { path }, position: after[0]?.position, log })).toEqual(after.slice(1));
  });

  it("goes on in a file that has grown since", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "in.jsonl");
    await writeFile(path, '{"a":1}\n');
    const before = await runSource(source, { config: { path } });
    await appendFile(path, '{"a":2}\n');
    const after = await runSource(source, { config: { path }, position: before[0]?.position });
    expect(after.map(({ event }) => payloadText(event))).toEqual(['{"a":2}']);
  });
});

// Writes docs/reference/file.md from the schema of the pipeline file and the text in scripts/file-docs/file.md; with
// --check only says whether it is up to date, and fails if not. In the text, {{keys PATH}} stands for the table of the
// keys of a mapping, {{refused PATH}} for that of Compose's keys that it refuses. A path is keys with dots between,
// `*` for any key and `[]` for any item of a list.
import { readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { z } from "zod";
import { containerShape } from "../src/pipeline/schema/container.ts";
import { pipelineFileSchema } from "../src/pipeline/schema/pipeline-file.ts";
import { unsupportedKeys } from "../src/pipeline/schema/unsupported-keys.ts";

const root = resolve(import.meta.dirname, "..");
const page = join(root, "docs/reference/file.md");
const notice = "<!-- Made by scripts/generate-file-docs.ts from the schema: change scripts/file-docs/file.md. -->";

/** The schema without what only says that a value may be left out. */
function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  return schema instanceof z.ZodOptional || schema instanceof z.ZodNullable ? unwrap(schema.unwrap()) : schema;
}

/** The options of a union, unions in unions too; of anything else itself. */
function optionsOf(schema: z.core.$ZodType): readonly z.core.$ZodType[] {
  const open = unwrap(schema);
  return open instanceof z.ZodUnion ? open.options.flatMap(optionsOf) : [open];
}

/** The mapping with fixed keys at `path`. */
function mappingAt(path: readonly string[], schema: z.core.$ZodType = pipelineFileSchema): z.ZodObject {
  const [key, ...rest] = path;
  for (const option of optionsOf(schema)) {
    if (key === undefined && option instanceof z.ZodObject && Object.keys(option.shape).length > 0) return option;
    if (key === undefined) continue;
    if (key === "*" && option instanceof z.ZodRecord) return mappingAt(rest, option.valueType);
    if (key === "[]" && option instanceof z.ZodArray) return mappingAt(rest, option.element);
    const child: unknown = option instanceof z.ZodObject ? option.shape[key] : undefined;
    if (child instanceof z.ZodType) return mappingAt(rest, child);
  }
  throw new Error(`the schema has no mapping with fixed keys at ${path.join(".") || "the end of the path"}`);
}

/** What the schema says is expected there: the `error` of each part of it is written to follow "must be". */
function expected(schema: z.core.$ZodType): string {
  const open = unwrap(schema);
  const { error } = open._zod.def as unknown as { readonly error?: (issue: object) => unknown };
  const said = error?.({ code: "invalid_type" });
  if (typeof said === "string") return said;
  if (open instanceof z.ZodArray) return `a list: ${expected(open.element)}`;
  if (open instanceof z.ZodUnion) return [...new Set(open.options.map(expected))].join(", or ");
  return "anything";
}

function keysTable(path: readonly string[], keep: (key: string) => boolean = () => true): string {
  const rows = Object.entries(mappingAt(path).shape)
    .filter(([key]) => keep(key))
    .map(([key, schema]) => {
      const required = !(schema instanceof z.ZodOptional);
      const [meaning, otherwise] = splitDefault(descriptionOf(schema));
      return `| \`${key}\` | ${expected(schema)} | ${required ? "**required**" : otherwise} | ${meaning} |`;
    });
  return ["| key | value | default | description |", "|---|---|---|---|", ...rows].join("\n");
}

function descriptionOf(schema: z.core.$ZodType): string {
  const own = schema instanceof z.ZodType ? schema.description : undefined;
  if (own !== undefined) return own;
  return schema instanceof z.ZodOptional || schema instanceof z.ZodNullable ? descriptionOf(schema.unwrap()) : "";
}

/** "Meaning. Default: x." as its two parts. */
function splitDefault(description: string): readonly [meaning: string, otherwise: string] {
  const match = /(?:^| )Default: ([^.]+(?:\.[^ .][^.]*)*)\./.exec(description);
  if (match === null) return [description, ""];
  const meaning = `${description.slice(0, match.index)}${description.slice(match.index + match[0].length)}`.trim();
  return [meaning, match[1] ?? ""];
}

function refusedTable(path: readonly string[]): string {
  const refused = Object.entries(unsupportedKeys(path) ?? {});
  if (refused.length === 0) throw new Error(`no key of Compose is refused at ${path.join(".")}`);
  const plain = refused.filter(([, advice]) => advice === "Remove it.").map(([key]) => `\`${key}\``);
  const rows = refused
    .filter(([, advice]) => advice !== "Remove it.")
    .map(([key, advice]) => `| \`${key}\` | ${advice} |`);
  const table = rows.length === 0 ? [] : ["| key | what to do instead |", "|---|---|", ...rows];
  const rest = plain.length === 0 ? [] : [...(table.length === 0 ? [] : [""]), `No replacement: ${plain.join(", ")}.`];
  return [...table, ...rest].join("\n");
}

function fill(text: string): string {
  return text.replaceAll(/\{\{(\w+) ([^}]*)\}\}/g, (_, what: string, place: string) => {
    const path = place === "/" ? [] : place.split(".");
    switch (what) {
      case "keys":
        return keysTable(path);
      case "own":
        return keysTable(path, (key) => !(key in containerShape));
      case "container":
        return keysTable(path, (key) => key in containerShape);
      case "refused":
        return refusedTable(path);
      default:
        throw new Error(`{{${what}}} stands for nothing`);
    }
  });
}

const source = await readFile(join(root, "scripts/file-docs/file.md"), "utf8");
const wanted = fill(source.replace("\n", `\n\n${notice}\n`));
if (process.argv.includes("--check")) {
  const present = await readFile(page, "utf8").catch(() => "");
  if (present !== wanted) {
    console.error("docs/reference/file.md is stale: run `npx tsx scripts/generate-file-docs.ts`");
    process.exitCode = 1;
  }
} else {
  await writeFile(page, wanted);
}

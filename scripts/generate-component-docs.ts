import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { builtinCatalog } from "../src/components/catalog.ts";
import { eventVariables } from "../src/components/expression/event-scope.ts";
import { generatorFunctions, generatorVariables } from "../src/components/sources/generator-expressions.ts";
import type { BuiltinSpec } from "../src/pipeline/catalog.ts";

// Writes docs/components/ from the schemas of the built-ins and the texts in scripts/component-docs/; with --check it
// only says whether the pages are up to date, and fails if not.
const texts = new URL("./component-docs/", import.meta.url);
const pages = new URL("../docs/components/", import.meta.url);
const notice =
  "<!-- Generated from the schemas by scripts/generate-component-docs.ts: change scripts/component-docs/. -->";

interface JsonSchema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly JsonSchema[];
  readonly items?: JsonSchema;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly pattern?: string;
  readonly $ref?: string;
}

function pageName(spec: BuiltinSpec): string {
  return `${spec.type}-${spec.name}.md`;
}

function settingsTable(spec: BuiltinSpec): string {
  const schema = z.toJSONSchema(spec.schema, { io: "input" }) as JsonSchema;
  const rows = Object.entries(schema.properties ?? {}).map(([key, property]) => {
    const needed = schema.required?.includes(key) === true ? "**required**" : defaultOf(property);
    return [`\`${key}\``, typeOf(key, property), needed, property.description ?? ""];
  });
  return table(["`with`", "type", "default", "description"], rows);
}

function defaultOf(property: JsonSchema): string {
  return property.default === undefined ? "" : code(JSON.stringify(property.default));
}

const named: Readonly<Record<string, string>> = {
  template: "expressions",
  to: "expression or expressions",
  set: "field → expression",
  metadata: "key → expression",
  where: "expression",
  type_from: "expression",
  timestamp: "expression",
  id: "expression",
};

function typeOf(key: string, property: JsonSchema): string {
  if (property.description?.match(/expression/i) && named[key] !== undefined) return named[key];
  return plainType(property);
}

function plainType(property: JsonSchema): string {
  if (property.enum !== undefined) return property.enum.map((value) => code(String(value))).join(", ");
  if (property.const !== undefined) return code(String(property.const));
  if (property.anyOf !== undefined) return property.anyOf.map(plainType).join(" or ");
  if (property.type === "array") return `list of ${plainType(property.items ?? {})}`;
  if (property.type === "object") return "key → string";
  if (property.type === "boolean") return "boolean";
  if (property.pattern?.includes("ms|s|m|h") === true) return "duration";
  if (property.type === "string") return "string";
  if (property.type === "integer" || property.type === "number") return numberType(property);
  return "any";
}

function numberType(property: JsonSchema): string {
  const least = property.minimum ?? (property.exclusiveMinimum === undefined ? undefined : property.exclusiveMinimum);
  const word = property.type === "integer" ? "integer" : "number";
  if (least === undefined || least < 0) return word;
  return property.exclusiveMinimum === undefined ? `${word} ≥ ${least}` : `${word} > ${least}`;
}

function code(text: string): string {
  return `\`${text}\``;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), `|${"---|".repeat(head.length)}`, ...rows.map(line)].join("\n");
}

function names(
  entries: Readonly<Record<string, { readonly type: string; readonly describes: string } | string>>,
): string {
  const rows = Object.entries(entries).map(([name, entry]) =>
    typeof entry === "string" ? [code(name), entry] : [code(name), `${entry.describes} (${code(entry.type)})`],
  );
  return table(["name", "description"], rows);
}

function componentList(): string {
  const rows = [...builtinCatalog.values()].map((spec) => [
    `[\`${spec.name}\`](${pageName(spec)})`,
    spec.type,
    spec.summary,
  ]);
  return table(["name", "type", "description"], rows);
}

const fills: Readonly<Record<string, string>> = {
  "event-names": names(eventVariables),
  "generator-names": names({ ...generatorVariables, ...generatorFunctions }),
  components: componentList(),
};

function fill(text: string, more: Readonly<Record<string, string>> = {}): string {
  return text.replaceAll(/\{\{([a-z-]+)\}\}/g, (_, name: string) => {
    const value = more[name] ?? fills[name];
    if (value === undefined) throw new Error(`nothing is called ${name}`);
    return value;
  });
}

async function textOf(name: string): Promise<string> {
  return await readFile(new URL(name, texts), "utf8");
}

const wanted = new Map<string, string>();
for (const spec of builtinCatalog.values()) {
  const settings = `## Settings\n\n${settingsTable(spec)}`;
  const body = fill(await textOf(pageName(spec)), { settings });
  wanted.set(pageName(spec), `${notice}\n\n# ${spec.name} (${spec.type})\n\n${spec.summary}\n\n${body}`);
}
for (const name of ["README.md", "expressions.md"]) wanted.set(name, `${notice}\n\n${fill(await textOf(name))}`);

if (process.argv.includes("--check")) {
  const stale: string[] = [];
  const present: readonly string[] = await readdir(pages).catch(() => []);
  for (const name of new Set([...present, ...wanted.keys()])) {
    const text = present.includes(name) ? await readFile(new URL(name, pages), "utf8") : undefined;
    if (text !== wanted.get(name)) stale.push(name);
  }
  if (stale.length > 0) {
    console.error(`docs/components is stale (${stale.join(", ")}): run npx tsx scripts/generate-component-docs.ts`);
    process.exitCode = 1;
  }
} else {
  await mkdir(fileURLToPath(pages), { recursive: true });
  for (const [name, text] of wanted) await writeFile(new URL(name, pages), text);
}

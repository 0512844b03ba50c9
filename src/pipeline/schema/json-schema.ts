import * as z from "zod";
import type { BuiltinCatalog, BuiltinSpec } from "../catalog.ts";
import type { ComponentType } from "../pipeline.ts";
import { sectionOf } from "../resolve/resolved.ts";
import { componentSchema, serviceSchema } from "./component.ts";
import { pipelineFileSchema } from "./pipeline-file.ts";

type Json = Record<string, unknown>;

/** A value that holds a variable is only known once the file is interpolated, and editors see it before. */
const variable = { type: "string", pattern: "\\$\\{?\\w" };

/**
 * The JSON Schema (draft 7, which editors know best) of pipeline files, with the settings of every built-in in
 * `catalog`. It accepts what the zod schema accepts, and further what holds a variable where a number, a flag, a choice
 * or a text of a certain form is expected. Pure: the same catalog gives the same schema.
 */
export function pipelineJsonSchema(catalog: BuiltinCatalog): Json {
  const registry = z.registry<{ id?: string }>();
  registry.add(componentSchema, { id: "component" });
  registry.add(serviceSchema, { id: "service" });
  const schema = convert(pipelineFileSchema, registry, true);
  const definitions = schema.definitions as Record<string, Json>;
  const properties = schema.properties as Record<string, Json>;
  for (const type of ["source", "processor", "sink"] as const) {
    definitions[type] = componentOf(type, catalog, definitions);
    const section = sectionOf(type);
    properties[section] = withReference(properties[section] ?? {}, type);
  }
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "flowctl pipeline file",
    ...Object.fromEntries(Object.entries(schema).filter(([key]) => key !== "$schema")),
  };
}

function convert(schema: z.ZodType, metadata: z.core.$ZodRegistry<{ id?: string }>, extensions: boolean): Json {
  return z.toJSONSchema(schema, {
    target: "draft-7",
    io: "input",
    unrepresentable: "any",
    override: ({ zodSchema, jsonSchema, path }) => {
      const json = jsonSchema as Json;
      const { description } = zodSchema instanceof z.ZodType ? zodSchema : { description: undefined };
      if (description !== undefined) json.description = description;
      if (extensions && json.additionalProperties === false) json.patternProperties = { "^x-": {} };
      if (path.length > 0) admitVariables(json);
    },
    metadata,
  }) as Json;
}

function admitVariables(json: Json): void {
  // A schema inside `optional` or `default` comes by twice.
  if (typeof json.pattern === "string" && json.pattern.endsWith(variable.pattern)) return;
  if (typeof json.pattern === "string") json.pattern = `(?:${json.pattern})|${variable.pattern}`;
  else if (json.type === "string" && "format" in json) {
    const { type, description, ...rest } = json;
    for (const key of Object.keys(json)) delete json[key];
    Object.assign(json, { type, ...(description === undefined ? {} : { description }) });
    json.anyOf = [rest, { pattern: variable.pattern }];
  }
  const typed = json.type === "number" || json.type === "integer" || json.type === "boolean";
  if (!typed && !("enum" in json) && !("const" in json)) return;
  const { description, ...rest } = json;
  for (const key of Object.keys(json)) delete json[key];
  if (description !== undefined) json.description = description;
  json.anyOf = [rest, variable];
}

/** A component of one type: what `uses` can name, and for each what goes into `with`. Adds what that refers to. */
function componentOf(type: ComponentType, catalog: BuiltinCatalog, definitions: Record<string, Json>): Json {
  const specs = [...catalog.values()].filter((spec) => spec.type === type);
  return {
    allOf: [
      { $ref: "#/definitions/component" },
      {
        properties: {
          uses: {
            description: `Built-in ${type}.`,
            anyOf: [...specs.map((spec) => ({ const: spec.name, description: spec.summary })), variable],
          },
        },
      },
      ...specs.map((spec) => ({
        if: { properties: { uses: { const: spec.name } }, required: ["uses"] },
        // biome-ignore lint/suspicious/noThenProperty: the keyword of JSON Schema
        then: settingsOf(spec, definitions),
      })),
    ],
  };
}

function settingsOf(spec: BuiltinSpec, definitions: Record<string, Json>): Json {
  const { $schema: _, ...whole } = convert(spec.schema, z.registry<{ id?: string }>(), false);
  const { definitions: own = {}, ...schema } = named(whole, `${spec.type}-${spec.name}`);
  Object.assign(definitions, own);
  const required = Array.isArray(schema.required) && schema.required.length > 0;
  return required
    ? { properties: { with: schema }, required: ["with"] }
    : { properties: { with: { anyOf: [schema, { type: "null" }] } } };
}

/** The schema with its definitions under names of its own: references always start from the root of the document. */
function named(schema: Json, prefix: string): Json {
  if (schema.definitions === undefined) return schema;
  const renamed = JSON.parse(
    JSON.stringify(schema).replaceAll('"#/definitions/', `"#/definitions/${prefix}-`),
  ) as Json & { definitions: Json };
  const own = Object.entries(renamed.definitions).map(([name, value]) => [`${prefix}-${name}`, value]);
  return { ...renamed, definitions: Object.fromEntries(own) };
}

/** The section with its values pointing at the definition of the type. */
function withReference(section: Json, definition: string): Json {
  const text = JSON.stringify(section).replaceAll("#/definitions/component", `#/definitions/${definition}`);
  return JSON.parse(text) as Json;
}

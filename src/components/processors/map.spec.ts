import * as z from "zod";
import type { BuiltinSpec, SettingProblem } from "../../pipeline/catalog.ts";
import { checkExpression } from "../expression/check-expression.ts";
import { eventExpressions } from "../expression/event-scope.ts";
import { checkTemplate, type Template, templateSchema } from "../expression/template.ts";

export const mapConfig = z.strictObject({
  to: templateSchema
    .optional()
    .describe(
      "The new payload: a CEL expression, or an object in which every string is a CEL expression, such as " +
        "`{ place: payload.place, strong: payload.mag >= 6 }`. If omitted, the payload is kept, changed by `set` and `drop`.",
    ),
  set: z
    .record(z.string().min(1), templateSchema)
    .default({})
    .describe("Payload fields to add or replace: field → expression, evaluated on the input event."),
  drop: z.array(z.string().min(1)).default([]).describe("Payload fields to remove."),
  type: z.string().min(1).optional().describe("The new type, a literal. If omitted, the type is kept."),
  type_from: z
    .string()
    .min(1)
    .optional()
    .describe("The new type, an expression that returns a string. Cannot be used with `type`."),
  metadata: z
    .record(z.string().min(1), z.string().min(1))
    .default({})
    .describe("Metadata to add or replace: key → expression that returns a string, a number or a boolean."),
  timestamp: z
    .string()
    .min(1)
    .optional()
    .describe(
      "The event time: an expression that returns a timestamp, such as `timestamp(payload.time / 1000.0)` for milliseconds.",
    ),
  id: z
    .string()
    .min(1)
    .optional()
    .describe(
      "The new id: an expression that returns a string. Must be unique in the pipeline, and the same for the same event.",
    ),
});

export type MapConfig = z.output<typeof mapConfig>;

export const mapSpec: BuiltinSpec = {
  name: "map",
  type: "processor",
  summary: "Transforms each event with expressions.",
  schema: mapConfig,
  paths: {},
  consumes: [],
  produces: [],
  producesWith(settings) {
    const { type, type_from: typeFrom } = settings as MapConfig;
    if (typeFrom !== undefined) return [];
    return type === undefined ? "as-taken" : [type];
  },
  check(settings) {
    const config = settings as MapConfig;
    const compiler = eventExpressions();
    const text = (path: string, value: string | undefined, types: readonly string[]): SettingProblem[] =>
      value === undefined ? [] : checkExpression(compiler, value, { path: [path], types });
    const problems = [
      ...(config.to === undefined ? [] : checkTemplate(compiler, config.to as Template, ["to"])),
      ...checkTemplate(compiler, config.set, ["set"]),
      ...text("type_from", config.type_from, ["string"]),
      ...text("timestamp", config.timestamp, ["google.protobuf.Timestamp"]),
      ...text("id", config.id, ["string"]),
    ];
    for (const [key, value] of Object.entries(config.metadata)) {
      const types = ["string", "int", "double", "bool"];
      problems.push(...checkExpression(compiler, value, { path: ["metadata", key], types }));
    }
    if (config.type !== undefined && config.type_from !== undefined) {
      problems.push({
        path: ["type_from"],
        message: "type and type_from cannot be used together",
        fix: "remove one of the two",
      });
    }
    return problems;
  },
};

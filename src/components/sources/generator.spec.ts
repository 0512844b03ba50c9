import * as z from "zod";
import type { BuiltinSpec } from "../../pipeline/catalog.ts";
import { checkTemplate, type Template, templateSchema } from "../expression/template.ts";
import { generatorExpressions } from "./generator-expressions.ts";
import { shardsOf } from "./generator-shards.ts";

export const generatorConfig = z.strictObject({
  rate: z
    .union([z.number().positive(), z.literal("unlimited")])
    .default(1)
    .describe("Events per second over all instances, or `unlimited`: as fast as the pipeline takes them."),
  count: z.int().positive().optional().describe("Ends after so many events. Left out: goes on without end."),
  type: z.string().min(1).default("generated").describe("Type of the events."),
  template: z
    .record(z.string(), templateSchema)
    .optional()
    .describe(
      "The payload, a JSON object. Every text in it is a CEL expression over `sequence` and `now`, with the functions " +
        "`random()`, `random_int(low, high)` and `pick(list)`. Left out: `{ sequence: sequence }`.",
    ),
  size: z
    .int()
    .nonnegative()
    .max(1_048_576)
    .default(0)
    .describe("Fills payloads up to at least this many bytes, with a field `padding`."),
  seed: z
    .int()
    .default(0)
    .describe("Same seed, same events: seeds the random functions. Another seed begins anew, at number 1."),
});

export type GeneratorConfig = z.output<typeof generatorConfig>;

export const generatorSpec: BuiltinSpec = {
  name: "generator",
  type: "source",
  summary: "Makes events out of a template, at a rate or as fast as the pipeline takes them.",
  schema: generatorConfig,
  paths: {},
  partitions: (settings) => shardsOf((settings as GeneratorConfig).seed),
  consumes: [],
  produces: [],
  producesWith: (settings) => [(settings as GeneratorConfig).type],
  check(settings) {
    const template = settings.template as Template | undefined;
    return template === undefined
      ? []
      : checkTemplate(
          generatorExpressions(() => 0),
          template,
          ["template"],
        );
  },
};

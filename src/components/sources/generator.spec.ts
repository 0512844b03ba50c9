import * as z from "zod";
import type { BuiltinSpec } from "../../pipeline/catalog.ts";
import { checkTemplate, type Template, templateSchema } from "../expression/template.ts";
import { generatorExpressions } from "./generator-expressions.ts";
import { shardsOf } from "./generator-shards.ts";

export const generatorConfig = z.strictObject({
  rate: z
    .union([z.number().positive(), z.literal("unlimited")])
    .default(1)
    .describe("Events per second across all instances, or `unlimited`: as fast as the pipeline accepts them."),
  count: z
    .int()
    .positive()
    .optional()
    .describe("Number of events after which the source completes. Default: unlimited."),
  type: z.string().min(1).default("generated").describe("Type of the events."),
  template: z
    .record(z.string(), templateSchema)
    .optional()
    .describe(
      "The payload, a JSON object. Every string in it is a CEL expression with the variables `sequence` and `now` and the functions " +
        "`random()`, `random_int(low, high)` and `pick(list)`. Default: `{ sequence: sequence }`.",
    ),
  size: z
    .int()
    .nonnegative()
    .max(1_048_576)
    .default(0)
    .describe("Minimum payload size in bytes; smaller payloads get a field `padding`."),
  seed: z
    .int()
    .default(0)
    .describe(
      "Seed of the random functions: the same seed produces the same events. A new seed starts again at number 1.",
    ),
});

export type GeneratorConfig = z.output<typeof generatorConfig>;

export const generatorSpec: BuiltinSpec = {
  name: "generator",
  type: "source",
  summary: "Generates events from a template, at a given rate or as fast as the pipeline accepts them.",
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

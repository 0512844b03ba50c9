import * as z from "zod";
import type { BuiltinSpec, SettingProblem } from "../../pipeline/catalog.ts";
import { checkExpression } from "../expression/check-expression.ts";
import { eventExpressions } from "../expression/event-scope.ts";

export const sampleConfig = z.strictObject({
  rate: z.number().min(0).max(1).describe("The part of the events to pass on, from 0 to 1: `0.1` is one in ten."),
  by: z
    .string()
    .min(1)
    .default("id")
    .describe(
      "CEL expression: of events with the same value all are passed on or none, such as `payload.customer` for a tenth of the customers.",
    ),
});

export type SampleConfig = z.output<typeof sampleConfig>;

export const sampleSpec: BuiltinSpec = {
  name: "sample",
  type: "processor",
  summary: "Passes on, unchanged, a part of the events, always the same ones.",
  schema: sampleConfig,
  paths: {},
  consumes: [],
  produces: [],
  producesWith: () => "as-taken",
  check(settings): SettingProblem[] {
    return checkExpression(eventExpressions(), (settings as SampleConfig).by, { path: ["by"] });
  },
};

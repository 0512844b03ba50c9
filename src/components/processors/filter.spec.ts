import * as z from "zod";
import type { BuiltinSpec } from "../../pipeline/catalog.ts";
import { checkExpression } from "../expression/check-expression.ts";
import { eventExpressions } from "../expression/event-scope.ts";

export const filterConfig = z.strictObject({
  where: z
    .string()
    .min(1)
    .describe(
      'CEL expression that returns true for events to pass on, such as `payload.mag >= 4.5 && type == "quake"`.',
    ),
});

export type FilterConfig = z.output<typeof filterConfig>;

export const filterSpec: BuiltinSpec = {
  name: "filter",
  type: "processor",
  summary: "Passes on, unchanged, the events for which an expression is true.",
  schema: filterConfig,
  paths: {},
  consumes: [],
  produces: [],
  producesWith: () => "as-taken",
  check: (settings) =>
    checkExpression(eventExpressions(), (settings as FilterConfig).where, { path: ["where"], types: ["bool"] }),
};

import * as z from "zod";
import type { BuiltinSpec } from "../../pipeline/catalog.ts";
import { checkExpression } from "../expression/check-expression.ts";
import { eventExpressions, eventVariables } from "../expression/event-scope.ts";
import { ExpressionCompiler } from "../expression/expression.ts";
import { checkTemplate, templateSchema } from "../expression/template.ts";

export const unnestConfig = z.strictObject({
  items: z
    .string()
    .min(1)
    .describe("CEL expression that returns a list, such as `payload.lines`: an event for each item."),
  to: templateSchema
    .default("item")
    .describe(
      "The payload of each: a CEL expression, or an object in which every string is one, such as `{ order: payload.id, line: item }`. " +
        "Besides the variables of the event, there are `item` and `index`, from 0. Default: the item.",
    ),
  type: z.string().min(1).optional().describe("The type of the events. If omitted, the type of the input event."),
});

export type UnnestConfig = z.output<typeof unnestConfig>;

/** A compiler of expressions over an event and one of its items. */
export function itemExpressions(): ExpressionCompiler {
  const types = Object.entries(eventVariables).map(([name, { type }]) => [name, type] as const);
  return new ExpressionCompiler({ ...Object.fromEntries(types), item: "dyn", index: "int" });
}

export const unnestSpec: BuiltinSpec = {
  name: "unnest",
  type: "processor",
  summary: "Makes an event of each item of a list in an event.",
  schema: unnestConfig,
  paths: {},
  consumes: [],
  produces: [],
  producesWith(settings) {
    const { type } = settings as UnnestConfig;
    return type === undefined ? "as-taken" : [type];
  },
  check(settings) {
    const { items, to } = settings as UnnestConfig;
    return [
      ...checkExpression(eventExpressions(), items, { path: ["items"], types: ["list"] }),
      ...checkTemplate(itemExpressions(), to, ["to"]),
    ];
  },
};

import * as z from "zod";
import type { BuiltinSpec } from "../../pipeline/catalog.ts";

export const throttleConfig = z.strictObject({
  rate: z
    .number()
    .positive()
    .describe("Most events a second, of each instance. Less than 1 for fewer: `0.5` is one in two seconds."),
  burst: z
    .int()
    .positive()
    .default(1)
    .describe("How many events may pass at once after a pause. Default: 1, which keeps them evenly apart."),
});

export type ThrottleConfig = z.output<typeof throttleConfig>;

export const throttleSpec: BuiltinSpec = {
  name: "throttle",
  type: "processor",
  summary: "Passes events on, unchanged, at a limited rate; upstream components wait.",
  schema: throttleConfig,
  paths: {},
  consumes: [],
  produces: [],
  producesWith: () => "as-taken",
};

import * as z from "zod";
import type { BuiltinSpec } from "../../pipeline/catalog.ts";
import { durationSchema } from "../duration.ts";

export const discardConfig = z.strictObject({
  delay: durationSchema.optional().describe("Time that each batch takes, to simulate a slow sink. Default: none."),
});

export type DiscardConfig = z.output<typeof discardConfig>;

export const discardSpec: BuiltinSpec = {
  name: "discard",
  type: "sink",
  summary: "Discards events, for benchmarks and for trying out a pipeline.",
  schema: discardConfig,
  paths: {},
  consumes: [],
  produces: [],
};

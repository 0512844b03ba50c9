import * as z from "zod";
import type { BuiltinSpec } from "../../pipeline/catalog.ts";
import { durationSchema } from "../duration.ts";

export const discardConfig = z.strictObject({
  delay: durationSchema
    .optional()
    .describe("How long each batch takes, to see what a slow sink does. Left out: no time at all."),
});

export type DiscardConfig = z.output<typeof discardConfig>;

export const discardSpec: BuiltinSpec = {
  name: "discard",
  type: "sink",
  summary: "Takes events and forgets them: for measuring, and for trying out a pipeline.",
  schema: discardConfig,
  paths: {},
  consumes: [],
  produces: [],
};

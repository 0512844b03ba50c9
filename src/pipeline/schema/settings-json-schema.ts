import * as z from "zod";
import type { BuiltinSpec } from "../catalog.ts";

/** The JSON Schema (draft 2020-12) of the settings of a built-in, as they are written in a pipeline file. */
export function settingsJsonSchema({ schema }: Pick<BuiltinSpec, "schema">): object {
  return z.toJSONSchema(schema, { unrepresentable: "any", io: "input" });
}

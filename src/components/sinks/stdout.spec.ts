import * as z from "zod";
import type { BuiltinSpec } from "../../pipeline/catalog.ts";

export const stdoutConfig = z.strictObject({
  format: z
    .enum(["json", "pretty", "payload"])
    .default("payload")
    .describe(
      "`payload`: only the payload. `json`: one JSON object per line with id, type, timestamp, source, metadata and " +
        "payload. `pretty`: one human-readable line with time, type and payload.",
    ),
});

export type StdoutConfig = z.output<typeof stdoutConfig>;

export const stdoutSpec: BuiltinSpec = {
  name: "stdout",
  type: "sink",
  summary: "Prints events to standard output, one per line; `flowctl up` and `flowctl logs` show them.",
  schema: stdoutConfig,
  paths: {},
  consumes: [],
  produces: [],
};

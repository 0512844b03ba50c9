import * as z from "zod";
import type { BuiltinSpec } from "../../pipeline/catalog.ts";

export const stdoutConfig = z.strictObject({
  format: z
    .enum(["json", "pretty", "payload"])
    .default("payload")
    .describe(
      "`payload`: the payload alone. `json`: one JSON object a line with id, type, timestamp, source, metadata and " +
        "payload. `pretty`: one line for people: time, type and payload.",
    ),
});

export type StdoutConfig = z.output<typeof stdoutConfig>;

export const stdoutSpec: BuiltinSpec = {
  name: "stdout",
  type: "sink",
  summary: "Prints events on standard output, one a line: `flowctl up` and `flowctl logs` show them.",
  schema: stdoutConfig,
  paths: {},
  consumes: [],
  produces: [],
};

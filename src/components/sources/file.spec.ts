import * as z from "zod";
import type { BuiltinSpec, SettingProblem } from "../../pipeline/catalog.ts";
import type { Partition } from "../../sdk/index.ts";
import { durationSchema } from "../duration.ts";
import { itemsPathSchema } from "./items-path.ts";

export const fileSourceConfig = z.strictObject({
  path: z.string().min(1).describe("Path of the file, relative to the pipeline file."),
  format: z
    .enum(["jsonl", "csv", "lines", "json"])
    .default("jsonl")
    .describe(
      "`jsonl`: one JSON value per line. `csv`: the first record contains the field names, each further record is an event. " +
        "`lines`: each line is a plain-text event. `json`: a JSON document that contains an array, loaded into memory as a whole.",
    ),
  items: itemsPathSchema
    .optional()
    .describe(
      "With `json`: path of the array, such as `features` or `data.items`. If omitted, the document itself is the array.",
    ),
  delimiter: z.string().min(1).max(4).default(",").describe('With `csv`: the field delimiter; `"\\t"` for tabs.'),
  cast: z
    .boolean()
    .default(true)
    .describe(
      "With `csv`: convert numbers, `true` and `false` to their types, and empty fields to null. Otherwise, all fields are strings.",
    ),
  type: z.string().min(1).default("record").describe("Type of the events."),
  follow: z
    .boolean()
    .default(false)
    .describe(
      "With `jsonl` and `lines`: wait for more at the end of the file, like `tail -F`, including after " +
        "rotation (rename and recreate) and truncation. If the file does not exist, wait for it.",
    ),
  poll_interval: durationSchema.default("250ms").describe("With `follow`: how often to check for new lines."),
  compression: z
    .enum(["auto", "none", "gzip"])
    .default("auto")
    .describe("`auto`: gzip if the name ends with `.gz`. A compressed file cannot be followed."),
  on_bad_line: z
    .enum(["fail", "skip"])
    .default("fail")
    .describe(
      "What to do with a line or record that does not match `format`: `fail` with an error, or `skip` it and log it.",
    ),
  max_line_bytes: z
    .int()
    .positive()
    .max(4_000_000)
    .default(1_048_576)
    .describe(
      "Maximum length of a line; a longer one is a bad line. Limits the memory that a file without line breaks can use.",
    ),
});

export type FileSourceConfig = z.output<typeof fileSourceConfig>;

/** Whether the settings say that the file is compressed. */
export function isGzip(config: Pick<FileSourceConfig, "compression" | "path">): boolean {
  return config.compression === "gzip" || (config.compression === "auto" && config.path.endsWith(".gz"));
}

/**
 * One partition: the file at the path. Read in another way, it has positions of another kind, which are of no use to the first.
 */
export function fileSourcePartitions({
  path,
  format,
  follow,
  items,
}: Pick<FileSourceConfig, "path" | "format" | "follow" | "items">): readonly Partition[] {
  if (follow) return [{ id: path, identity: `${path} followed` }];
  return [{ id: path, identity: format === "json" ? `${path} items at ${items ?? "the top"}` : path }];
}

export const fileSourceSpec: BuiltinSpec = {
  name: "file",
  type: "source",
  summary: "Reads a file (JSON lines, CSV, plain lines or a JSON document) once, or follows it as it grows.",
  schema: fileSourceConfig,
  paths: { path: "read" },
  shareable: false,
  partitions: (settings) => fileSourcePartitions(settings as FileSourceConfig),
  consumes: [],
  produces: [],
  producesWith: (settings) => [(settings as FileSourceConfig).type],
  check(settings) {
    const config = settings as FileSourceConfig;
    const problems: SettingProblem[] = [];
    if (config.items !== undefined && config.format !== "json") {
      problems.push({
        path: ["items"],
        message: "items requires format json",
        fix: "remove it, or set format: json",
      });
    }
    if (config.follow && config.format !== "jsonl" && config.format !== "lines") {
      problems.push({
        path: ["follow"],
        message: `a ${config.format} file cannot be followed`,
        fix: "remove follow, or use format jsonl or lines",
      });
    }
    if (config.follow && isGzip(config)) {
      problems.push({ path: ["follow"], message: "a compressed file cannot be followed", fix: "remove follow" });
    }
    return problems;
  },
};

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
      "`jsonl`: one JSON value a line. `csv`: the first record names the fields, each further record is an event. " +
        "`lines`: each line is an event of plain text. `json`: one JSON document that holds an array, read whole into memory.",
    ),
  items: itemsPathSchema
    .optional()
    .describe(
      "With `json`: where the array is, such as `features` or `data.items`. Left out: the document is the array.",
    ),
  delimiter: z.string().min(1).max(4).default(",").describe('With `csv`: what separates the fields; `"\\t"` for tabs.'),
  cast: z
    .boolean()
    .default(true)
    .describe(
      "With `csv`: numbers, `true` and `false` become what they say, an empty field becomes null; else all is text.",
    ),
  type: z.string().min(1).default("record").describe("Type of the events."),
  follow: z
    .boolean()
    .default(false)
    .describe(
      "With `jsonl` and `lines`: does not end at the end of the file but waits for more, as `tail -F` does, through " +
        "rotation (renamed and made anew) and truncation. Waits while there is no file of that name.",
    ),
  poll_interval: durationSchema.default("250ms").describe("With `follow`: how often it looks for more."),
  compression: z
    .enum(["auto", "none", "gzip"])
    .default("auto")
    .describe("`auto`: gzip when the name ends with `.gz`. A compressed file cannot be followed."),
  on_bad_line: z
    .enum(["fail", "skip"])
    .default("fail")
    .describe(
      "What is done about a line or record that is not what `format` says: end with an error, or log it and go on.",
    ),
  max_line_bytes: z
    .int()
    .positive()
    .max(4_000_000)
    .default(1_048_576)
    .describe("A longer line is a bad line. Bounds the memory that a file without line breaks can take."),
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
  summary: "Reads a file: JSON lines, CSV, plain lines or a JSON document; once, or following what is appended.",
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
        message: "items goes with format json only",
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

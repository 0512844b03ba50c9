import * as z from "zod";
import type { BuiltinSpec } from "../../pipeline/catalog.ts";

export const fileSinkConfig = z.strictObject({
  path: z
    .string()
    .min(1)
    .describe(
      "Path of the file, relative to the pipeline file; missing folders are created. With more than one replica it must contain " +
        "`{instance}`, which is replaced by the instance number.",
    ),
  format: z
    .enum(["payload", "event"])
    .optional()
    .describe(
      "`payload`: only the payload, one per line. `event`: one JSON object per line with id, type, timestamp, source, " +
        "metadata and payload, from which the event can be restored. Default: `event` for dead letters, `payload` for " +
        "all other events.",
    ),
  mode: z
    .enum(["append", "replace"])
    .default("append")
    .describe(
      "What to do with an existing file when the pipeline runs for the first time (or after `flowctl down -v`): " +
        "`append` adds to it, `replace` truncates it. A restart always continues where it stopped.",
    ),
  durable: z
    .boolean()
    .default(true)
    .describe("true: acknowledge events once they are on disk (fsync). false: once the operating system has them."),
  remember: z
    .int()
    .nonnegative()
    .max(10_000_000)
    .default(100_000)
    .describe("Number of recent ids to remember, so that a redelivered event is not written twice."),
});

export type FileSinkConfig = z.output<typeof fileSinkConfig>;

export const fileSinkSpec: BuiltinSpec = {
  name: "file",
  type: "sink",
  summary: "Writes events to a file, one per line, exactly once even after a crash.",
  schema: fileSinkConfig,
  paths: { path: "write" },
  consumes: [],
  produces: [],
  losesDeadLetters({ format }) {
    if (format !== "payload") return undefined;
    return {
      path: ["format"],
      message: "format payload does not keep the id and the reason, so dead letters cannot be listed or replayed",
      fix: "remove format, or set format: event",
    };
  },
};

import * as z from "zod";
import type { BuiltinSpec } from "../../pipeline/catalog.ts";

export const fileSinkConfig = z.strictObject({
  path: z
    .string()
    .min(1)
    .describe(
      "The file, relative to the pipeline file; folders are made. With more than one replica it has to contain " +
        "`{instance}`, which becomes the number of the instance.",
    ),
  format: z
    .enum(["payload", "event"])
    .optional()
    .describe(
      "`payload`: the payload alone, one a line. `event`: one JSON object a line with id, type, timestamp, source, " +
        "metadata and payload, from which the event can be made again. Left out: `event` for dead letters, `payload` for " +
        "all others.",
    ),
  mode: z
    .enum(["append", "replace"])
    .default("append")
    .describe(
      "What happens to a file that is there when the pipeline runs for the first time (or after `flowctl down -v`): " +
        "`append` writes after what is in it, `replace` empties it. A restart always goes on where it stopped.",
    ),
  durable: z
    .boolean()
    .default(true)
    .describe("Events are acknowledged once they are on the disk (fsync). false: once the operating system has them."),
  remember: z
    .int()
    .nonnegative()
    .max(10_000_000)
    .default(100_000)
    .describe("How many of the last ids are remembered, so that an event that comes again is not written twice."),
});

export type FileSinkConfig = z.output<typeof fileSinkConfig>;

export const fileSinkSpec: BuiltinSpec = {
  name: "file",
  type: "sink",
  summary: "Writes events to a file, one a line, each once even after a crash.",
  schema: fileSinkConfig,
  paths: { path: "write" },
  consumes: [],
  produces: [],
  losesDeadLetters({ format }) {
    if (format !== "payload") return undefined;
    return {
      path: ["format"],
      message: "payloads alone lose the id and the reason, so that dead letters cannot be listed or replayed",
      fix: "remove format, or set format: event",
    };
  },
};

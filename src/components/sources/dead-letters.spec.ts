import * as z from "zod";
import type { BuiltinSpec } from "../../pipeline/catalog.ts";
import type { Partition } from "../../sdk/index.ts";

export const deadLettersConfig = z.strictObject({
  path: z
    .string()
    .min(1)
    .describe("Path of a dead-letter file written by a `file` sink, relative to the pipeline file."),
  marks: z
    .string()
    .min(1)
    .optional()
    .describe(
      "File that records a dead letter as replayed once all downstream components have acknowledged its event. Default: none.",
    ),
});

export type DeadLettersConfig = z.output<typeof deadLettersConfig>;

export function deadLettersPartitions({ path }: Pick<DeadLettersConfig, "path">): readonly Partition[] {
  return [{ id: path, identity: path }];
}

export const deadLettersSpec: BuiltinSpec = {
  name: "dead-letters",
  type: "source",
  summary: "Replays the events of a dead-letter file, as they were before they failed.",
  schema: deadLettersConfig,
  paths: { path: "read", marks: "write" },
  shareable: false,
  partitions: (settings) => deadLettersPartitions(settings as DeadLettersConfig),
  consumes: [],
  produces: [],
};

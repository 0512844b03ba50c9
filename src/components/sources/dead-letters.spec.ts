import * as z from "zod";
import type { BuiltinSpec } from "../../pipeline/catalog.ts";
import type { Partition } from "../../sdk/index.ts";

export const deadLettersConfig = z.strictObject({
  path: z
    .string()
    .min(1)
    .describe("File of dead letters, as a `file` sink writes them, relative to the pipeline file."),
  marks: z
    .string()
    .min(1)
    .optional()
    .describe(
      "File in which a letter is marked as replayed once its event is acknowledged by everything below. Left out: none is.",
    ),
});

export type DeadLettersConfig = z.output<typeof deadLettersConfig>;

export function deadLettersPartitions({ path }: Pick<DeadLettersConfig, "path">): readonly Partition[] {
  return [{ id: path, identity: path }];
}

export const deadLettersSpec: BuiltinSpec = {
  name: "dead-letters",
  type: "source",
  summary: "Sends the events of a file of dead letters again, as they were before they failed.",
  schema: deadLettersConfig,
  paths: { path: "read", marks: "write" },
  shareable: false,
  partitions: (settings) => deadLettersPartitions(settings as DeadLettersConfig),
  consumes: [],
  produces: [],
};

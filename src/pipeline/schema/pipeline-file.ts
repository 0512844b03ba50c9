import * as z from "zod";
import { componentSchema, serviceSchema } from "./component.ts";
import { anyText, assignments, block, choice, flag, mapping, text, textLike } from "./scalars.ts";

const secret = block(
  {
    environment: text("the name of a variable").optional().describe("Variable that holds the value."),
    file: text("a path").optional().describe("File that holds the value."),
    external: flag().optional().describe("The secret exists already, outside of this pipeline."),
    name: text().optional().describe("Its name outside, when it is external."),
  },
  "a mapping with `environment`, `file` or `external`",
);

const config = block(
  {
    environment: text("the name of a variable").optional().describe("Variable that holds the content."),
    file: text("a path").optional().describe("File that holds the content."),
    content: anyText().optional().describe("The content itself."),
  },
  "a mapping with `file`, `environment` or `content`",
);

const resourceShape = {
  name: text().optional().describe("Name in the engine. Default: `<pipeline>_<key>`."),
  external: flag().optional().describe("It exists already, and is neither made nor removed."),
  driver: text().optional().describe("Driver of the engine."),
  driver_opts: mapping(textLike(), "options").optional().describe("Options of that driver."),
  labels: assignments("labels").optional().describe("Labels."),
} as const;

const volume = z.union([z.null(), block(resourceShape, "a mapping")], { error: "a mapping, or empty" });

const network = z.union(
  [
    z.null(),
    block({ ...resourceShape, internal: flag().optional().describe("Without a way to the outside.") }, "a mapping"),
  ],
  { error: "a mapping, or empty" },
);

const section = <T extends z.ZodType>(value: T, what: string) => mapping(value, what).nullable().optional();

/** The whole pipeline file after interpolation, includes and merging; `x-` keys taken away. Structure only. */
export const pipelineFileSchema = block(
  {
    name: text().optional().describe("Name of the pipeline. Default: the name of its folder."),
    driver: choice(["docker", "process", "kubernetes"])
      .optional()
      .describe("What runs the pipeline. Default: the first that can run every component."),
    include: z
      .array(
        z.union(
          [
            text(),
            block(
              {
                path: z
                  .union([text(), z.array(text())], { error: "a path, or a list of them" })
                  .describe("The files, merged as with several `-f`."),
                project_directory: text()
                  .optional()
                  .describe("Folder that its paths start from. Default: that of the file."),
                env_file: z
                  .union([text(), z.array(text())], { error: "a path, or a list of them" })
                  .optional()
                  .describe("Variables for its interpolation. Default: `.env` in its folder."),
              },
              "a mapping with `path`",
            ),
          ],
          { error: "a path, or a mapping with `path`" },
        ),
        { error: "a list of files" },
      )
      .optional()
      .describe("Further pipeline files whose components and resources are part of this one."),
    version: textLike().optional().describe("Compose's old version number; without effect."),
    sources: section(componentSchema, "sources").describe("Where events come from."),
    processors: section(componentSchema, "processors").describe("What changes, filters or enriches events."),
    sinks: section(componentSchema, "sinks").describe("Where events go."),
    services: section(serviceSchema, "services").describe("Backing containers, as in Compose."),
    schemas: section(text("a path"), "schemas").describe(
      "Event type → JSON Schema file, or `file.proto#package.Message`.",
    ),
    secrets: section(secret, "secrets").describe("Where secret values come from."),
    configs: section(config, "configs").describe("Files that containers get."),
    volumes: section(volume, "volumes").describe("Named volumes."),
    networks: section(network, "networks").describe("Networks besides the pipeline's own."),
  },
  "a mapping",
);

/** A pipeline file that passed the schema. */
export type PipelineFile = z.infer<typeof pipelineFileSchema>;
export type ComponentFile = z.infer<typeof componentSchema>;
export type ServiceFile = z.infer<typeof serviceSchema>;

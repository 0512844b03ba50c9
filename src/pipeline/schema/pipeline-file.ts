import * as z from "zod";
import { componentSchema, serviceSchema } from "./component.ts";
import { anyText, assignments, block, choice, flag, mapping, text, textLike, textList } from "./scalars.ts";

const secret = block(
  {
    environment: text("a variable name").optional().describe("Environment variable that contains the value."),
    file: text("a path").optional().describe("File that contains the value."),
    command: textList("a list of strings: the program and its arguments")
      .refine(([program]) => program, { error: "must start with the name of a program" })
      .optional()
      .describe("Program, with its arguments, that prints the value. Run by `up` without a shell."),
    external: flag().optional().describe("The secret already exists outside this pipeline."),
    name: text().optional().describe("Name of the external secret."),
  },
  "a mapping with `environment`, `file`, `command` or `external`",
);

const config = block(
  {
    environment: text("a variable name").optional().describe("Environment variable that contains the content."),
    file: text("a path").optional().describe("File that contains the content."),
    content: anyText().optional().describe("Inline content."),
  },
  "a mapping with `file`, `environment` or `content`",
);

const resourceShape = {
  name: text().optional().describe("Name in Docker. Default: `<pipeline>_<key>`."),
  external: flag().optional().describe("It already exists; flowctl neither creates nor removes it."),
  driver: text().optional().describe("Docker driver to use."),
  driver_opts: mapping(textLike(), "options").optional().describe("Driver options."),
  labels: assignments("labels").optional().describe("Labels."),
} as const;

const volume = z.union([z.null(), block(resourceShape, "a mapping")], { error: "a mapping or empty" });

const network = z.union(
  [
    z.null(),
    block(
      { ...resourceShape, internal: flag().optional().describe("No access to networks outside Docker.") },
      "a mapping",
    ),
  ],
  { error: "a mapping or empty" },
);

const section = <T extends z.ZodType>(value: T, what: string) => mapping(value, what).nullable().optional();

/** The whole pipeline file after interpolation, includes and merging; `x-` keys taken away. Structure only. */
export const pipelineFileSchema = block(
  {
    name: text().optional().describe("Name of the pipeline. Default: the name of the folder of the file."),
    driver: choice(["docker", "process", "kubernetes"])
      .optional()
      .describe("Driver that runs the pipeline. Default: the first one that can run all components."),
    include: z
      .array(
        z.union(
          [
            text(),
            block(
              {
                path: z
                  .union([text(), z.array(text())], { error: "a path or a list of paths" })
                  .describe("Files to include, merged as with several `-f`."),
                project_directory: text()
                  .optional()
                  .describe("Base folder of relative paths. Default: the folder of the file."),
                env_file: z
                  .union([text(), z.array(text())], { error: "a path or a list of paths" })
                  .optional()
                  .describe("Env files for interpolation. Default: `.env` in its folder."),
              },
              "a mapping with `path`",
            ),
          ],
          { error: "a path, or a mapping with `path`" },
        ),
        { error: "a list of files" },
      )
      .optional()
      .describe("Pipeline files to include in this one."),
    version: textLike().optional().describe("Obsolete Compose version number; ignored."),
    sources: section(componentSchema, "sources").describe("Components that read events into the pipeline."),
    processors: section(componentSchema, "processors").describe("Components that change, filter or enrich events."),
    sinks: section(componentSchema, "sinks").describe("Components that write events out of the pipeline."),
    services: section(serviceSchema, "services").describe("Supporting containers, such as databases, as in Compose."),
    schemas: section(text("a path"), "schemas").describe(
      "Schemas of event types: a JSON Schema file, or `file.proto#package.Message`.",
    ),
    secrets: section(secret, "secrets").describe("Secrets and the sources of their values."),
    configs: section(config, "configs").describe("Configuration files to mount in containers."),
    volumes: section(volume, "volumes").describe("Named volumes."),
    networks: section(network, "networks").describe("Networks in addition to the pipeline network."),
  },
  "a mapping",
);

/** A pipeline file that passed the schema. */
export type PipelineFile = z.infer<typeof pipelineFileSchema>;
export type ComponentFile = z.infer<typeof componentSchema>;
export type ServiceFile = z.infer<typeof serviceSchema>;

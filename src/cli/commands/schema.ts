import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { type Cli, describe, handle } from "../command.ts";
import { ExitCode } from "../exit-codes.ts";
import type { Flags } from "../settings.ts";

export function schemaCommand(cli: Cli): Command {
  const command = describe({
    usage: "schema",
    summary: "Print the JSON Schema of pipeline files, for editors",
    description:
      "Save the output as pipeline.schema.json: editors with YAML support then complete and check a pipeline file whose first line is `# yaml-language-server: $schema=./pipeline.schema.json`.",
    examples: [["flowctl schema > pipeline.schema.json", "next to the pipeline file"]],
    exitCodes: [ExitCode.ok],
  });
  return handle<[], Flags>(cli, command, async ({ deps, output }) => {
    output.print((await readFile(schemaPath(deps.packageRoot), "utf8")).trimEnd());
    return ExitCode.ok;
  });
}

/** Where the package keeps the JSON Schema. */
export function schemaPath(packageRoot: string): string {
  return join(packageRoot, "schema", "pipeline.schema.json");
}

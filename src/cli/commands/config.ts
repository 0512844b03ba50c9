import type { Command } from "commander";
import { type Cli, describe, handle, jsonOption, pipelineOptions } from "../command.ts";
import { ExitCode } from "../exit-codes.ts";
import { loadValid } from "../load.ts";
import type { Flags } from "../settings.ts";

export function configCommand(cli: Cli): Command {
  const command = describe({
    usage: "config [files...]",
    summary: "Print the resolved pipeline file",
    description: "Interpolated, merged, and with defaults filled in. Never contains the values of secrets.",
    examples: [
      ["flowctl config", "as YAML, itself a valid pipeline file"],
      ["flowctl config -f base.yaml -f prod.yaml --json", "for machines"],
    ],
    exitCodes: [ExitCode.ok, ExitCode.usage, ExitCode.invalid],
  });
  jsonOption(pipelineOptions(command));
  return handle<[readonly string[]], Flags>(cli, command, async (context, [files]) => {
    const pipeline = await loadValid(context, files);
    const { configFile, renderConfig } = await import("../../pipeline/render/render-config.ts");
    if (context.output.json) context.output.printJson(configFile(pipeline));
    else context.output.print(renderConfig(pipeline).trimEnd());
    return ExitCode.ok;
  });
}

import type { Command } from "commander";
import { type Cli, describe, handle, jsonOption } from "../command.ts";
import { ExitCode } from "../exit-codes.ts";
import type { Flags } from "../settings.ts";

export function versionCommand(cli: Cli): Command {
  const command = describe({
    usage: "version",
    summary: "Print the version of flowctl",
    examples: [["flowctl version --json", "with the versions of Node.js and the platform, for machines"]],
  });
  jsonOption(command);
  return handle<[], Flags>(cli, command, async ({ deps, output }) => {
    const { version } = deps;
    if (output.json)
      output.printJson({
        flowctl: version,
        node: process.versions.node,
        platform: process.platform,
        arch: process.arch,
      });
    else output.print(`flowctl ${version}`);
    return ExitCode.ok;
  });
}

import { Argument, type Command } from "commander";
import { type Cli, describe, handle } from "../command.ts";
import { completionScript, SHELLS, type Shell } from "../completion.ts";
import { ExitCode } from "../exit-codes.ts";
import type { Flags } from "../settings.ts";

export function completionCommand(cli: Cli): Command {
  const command = describe({
    usage: "completion",
    summary: "Print a completion script for a shell",
    examples: [
      ["source <(flowctl completion bash)", "for this bash; put it into ~/.bashrc to keep it"],
      ['flowctl completion zsh > "${fpath[1]}/_flowctl"', "for zsh"],
      ["flowctl completion fish > ~/.config/fish/completions/flowctl.fish", "for fish"],
    ],
    exitCodes: [ExitCode.ok, ExitCode.usage],
  });
  command.addArgument(new Argument("<shell>", "which shell").choices([...SHELLS]));
  return handle<[Shell], Flags>(cli, command, async ({ output }, [shell]) => {
    let root = command;
    while (root.parent !== null) root = root.parent;
    output.print(completionScript(shell, root).trimEnd());
    return ExitCode.ok;
  });
}

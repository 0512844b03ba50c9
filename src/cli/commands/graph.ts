import { type Command, Option } from "commander";
import { type Cli, describe, handle, jsonOption, pipelineOptions } from "../command.ts";
import { textPaint } from "../display/problem-report.ts";
import { ExitCode } from "../exit-codes.ts";
import { loadValid } from "../load.ts";
import type { Flags } from "../settings.ts";

interface GraphFlags extends Flags {
  readonly format?: "text" | "mermaid";
}

export function graphCommand(cli: Cli): Command {
  const command = describe({
    usage: "graph [files...]",
    summary: "Draw the topology of a pipeline",
    examples: [
      ["flowctl graph", "as text"],
      ["flowctl graph --format mermaid", "for a Markdown page"],
    ],
    exitCodes: [ExitCode.ok, ExitCode.usage, ExitCode.invalid],
  });
  pipelineOptions(command).addOption(
    new Option("--format <format>", "output format (default: text)").choices(["text", "mermaid", "json"]),
  );
  jsonOption(command);
  return handle<[readonly string[]], GraphFlags>(cli, command, async (context, [files], flags) => {
    const { output } = context;
    const pipeline = await loadValid(context, files);
    if (output.json) {
      const { topologyOf } = await import("../../pipeline/topology.ts");
      const { edges } = topologyOf(pipeline);
      const nodes = pipeline.components.map(({ id, type, replicas }) => ({ id, type, replicas }));
      output.printJson({ pipeline: pipeline.name, nodes, edges });
    } else if (flags.format === "mermaid") {
      const { renderMermaid } = await import("../../pipeline/render/render-mermaid.ts");
      output.print(renderMermaid(pipeline).trimEnd());
    } else {
      const { renderText } = await import("../../pipeline/render/render-text.ts");
      output.print(renderText(pipeline, textPaint(output.paint)).trimEnd());
    }
    return ExitCode.ok;
  });
}

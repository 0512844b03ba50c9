import { type Command, Option } from "commander";
import { type DrawnPipeline, drawnOf } from "../access/drawn-pipeline.ts";
import { type Cli, type CommandContext, describe, handle, jsonOption, pipelineOptions } from "../command.ts";
import { ControlPlaneAccess } from "../control-plane-access.ts";
import { textPaint } from "../display/problem-report.ts";
import { ExitCode } from "../exit-codes.ts";
import { loadValid } from "../load.ts";
import type { Flags } from "../settings.ts";
import { findTarget } from "../target.ts";

interface GraphFlags extends Flags {
  readonly format?: "text" | "mermaid";
}

export function graphCommand(cli: Cli): Command {
  const command = describe({
    usage: "graph [files...]",
    summary: "Draw the topology of a pipeline",
    description: "With an access file it is that of the running pipeline, else that of the pipeline file.",
    withAccess: "looks",
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
    const pipeline =
      context.access === undefined ? await loadValid(context, files) : await runningOne(context, files[0]);
    if (output.json) {
      const { makeTopology } = await import("../../pipeline/topology.ts");
      const { edges } = makeTopology(pipeline.components);
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

/** The one that the access file is for, as its control plane has it. */
async function runningOne(context: CommandContext, asked: string | undefined): Promise<DrawnPipeline> {
  const { deps, signal } = context;
  const { name, driver } = await findTarget(context, asked);
  const access = new ControlPlaneAccess(deps, driver, name);
  try {
    return drawnOf(await access.call(signal, (client, inner) => client.getPipeline(inner)));
  } finally {
    access.close();
  }
}

import type { Command } from "commander";
import { selectInstances } from "../../planner/plan-lifecycle.ts";
import { type Cli, type CommandContext, describe, handle, jsonOption, pipelineOptions } from "../command.ts";
import { ExitCode } from "../exit-codes.ts";
import { viewInstances } from "../instances.ts";
import { withIds } from "../pipeline-among-ids.ts";
import type { Flags } from "../settings.ts";
import { findTarget } from "../target.ts";

export function inspectCommand(cli: Cli): Command {
  const command = describe({
    usage: "inspect <id>",
    summary: "Show the details of a component, service or instance",
    description: "Combines what the driver observes, the control plane's record, and the settings in the file.",
    withAccess: "looks",
    examples: [
      ["flowctl inspect enrich", "a component with all its instances"],
      ["flowctl inspect enrich-2 --json", "one instance, for machines"],
    ],
    takes: "ids-and-control-plane",
    exitCodes: [ExitCode.ok, ExitCode.usage, ExitCode.notFound, ExitCode.unavailable],
  });
  jsonOption(pipelineOptions(command));
  return handle<[string], Flags>(cli, command, (context, [id]) =>
    withIds(context, command, [id], () => inspect(context, id)),
  );
}

async function inspect(context: CommandContext, id: string): Promise<ExitCode> {
  const { deps, output, signal } = context;
  const { name, driver, file } = await findTarget(context);
  const [observed, { instances, record }] = await Promise.all([
    driver.observe(name, signal),
    viewInstances(deps, driver, name, signal),
  ]);
  const chosen = id === "control-plane" ? observed.filter(({ kind }) => kind === id) : selectInstances(observed, [id]);
  const refs = new Set(chosen.map(({ ref }) => ref));
  const owner = chosen[0]?.owner;
  const component = record?.components.find((candidate) => candidate.id === owner);
  const declared =
    file?.components.find((candidate) => candidate.id === owner) ??
    file?.services.find((candidate) => candidate.id === owner);
  const document = {
    pipeline: name,
    driver: driver.name,
    id: owner,
    instances: instances
      .filter(({ ref }) => refs.has(ref))
      .map((view) => ({
        ...view,
        record: component?.instances.find((candidate) => candidate.id === view.instance),
        resource: observed.find(({ ref }) => ref === view.ref),
      })),
    connections: component?.connections,
    settings: declared,
  };
  if (output.json) {
    output.printJson(document);
    return ExitCode.ok;
  }
  const { yamlText } = await import("../display/yaml-text.ts");
  output.print(yamlText(document));
  return ExitCode.ok;
}

import { basename, join, resolve } from "node:path";
import { type Command, Option } from "commander";
import { FlowctlError } from "../../foundation/errors.ts";
import { type Cli, describe, handle, jsonOption, quietOption } from "../command.ts";
import type { CliDependencies } from "../dependencies.ts";
import { ExitCode } from "../exit-codes.ts";
import type { Flags } from "../settings.ts";
import { COMPONENT_LANGUAGES, type ComponentLanguage, writeTemplate } from "../templates.ts";
import { schemaPath } from "./schema.ts";

const TYPES = ["source", "processor", "sink"] as const;

interface InitFlags extends Flags {
  readonly force?: boolean;
  readonly lang?: ComponentLanguage;
  readonly type?: (typeof TYPES)[number];
}

export function initCommand(cli: Cli): Command {
  const command = describe({
    usage: "init [directory]",
    summary: "Create a starter pipeline, or with `init component` a component project",
    description:
      "The starter runs without changes, on Docker and as processes, and comes with a JSON Schema for your editor. Never overwrites files without --force.",
    examples: [
      ["flowctl init demo && cd demo && flowctl run", "a first pipeline"],
      ["flowctl init component enrich --lang ts --type processor", "a component project in TypeScript"],
    ],
    exitCodes: [ExitCode.ok, ExitCode.usage, ExitCode.conflict],
  });
  command.option("--force", "overwrite files that exist");
  jsonOption(quietOption(command));
  handle<[string | undefined], InitFlags>(cli, command, async (context, [directory], flags) => {
    const { deps, output } = context;
    if (flags.force !== true) await refuseBeside(resolve(deps.cwd, directory ?? "."));
    const written = await writeTemplate({
      templates: join(deps.packageRoot, "templates"),
      template: "pipeline",
      copies: { "pipeline.schema.json": schemaPath(deps.packageRoot) },
      cwd: deps.cwd,
      directory: directory ?? ".",
      values: {},
      force: flags.force ?? false,
    });
    if (output.json) output.printJson(written);
    else {
      for (const file of written.files) output.say(`${output.paintError.green("+")} ${file}`);
      output.say(`Run it: ${directory === undefined ? "" : `cd ${directory} && `}flowctl run`);
    }
    return ExitCode.ok;
  });
  return command.addCommand(initComponent(cli));
}

/** Of two pipeline files in one folder, commands would take one without a word about the other. */
async function refuseBeside(folder: string): Promise<void> {
  const { discoverPipelineFiles } = await import("../../pipeline/load-pipeline.ts");
  const [file] = await discoverPipelineFiles(folder);
  if (file === undefined || basename(file) === "flowctl.yaml") return;
  throw new FlowctlError({
    code: "cli/file-exists",
    kind: "conflict",
    message: `${file} is a pipeline file already, beside which flowctl.yaml would be taken in its place`,
    fix: "Choose another folder, or use --force to write flowctl.yaml beside it",
  });
}

function initComponent(cli: Cli): Command {
  const command = describe({
    usage: "component <directory>",
    summary: "Create a component project",
    examples: [
      ["flowctl init component enrich", "a processor in TypeScript"],
      ["flowctl init component feed --lang python --type source", "a source in Python"],
    ],
    exitCodes: [ExitCode.ok, ExitCode.usage, ExitCode.conflict],
  });
  command
    .addOption(new Option("--lang <language>", "language").choices([...COMPONENT_LANGUAGES]).default("ts"))
    .addOption(new Option("--type <type>", "type of the component").choices([...TYPES]).default("processor"))
    .option("--force", "overwrite files that exist");
  jsonOption(quietOption(command));
  return handle<[string], InitFlags>(cli, command, async (context, [directory], flags) => {
    const { deps, output } = context;
    const { lang = "ts", type = "processor" } = flags;
    const written = await writeTemplate({
      templates: join(deps.packageRoot, "templates"),
      template: `component/${lang}/${type}`,
      shared: `component/${lang}/shared`,
      copies: lang === "python" ? pythonRuntime(deps) : {},
      cwd: deps.cwd,
      directory,
      // The flowctl that writes this is there; whether a registry has it, nobody knows.
      values: { type, flowctl: `file:${deps.packageRoot}` },
      force: flags.force ?? false,
    });
    if (output.json) output.printJson(written);
    else {
      for (const file of written.files) output.say(`${output.paintError.green("+")} ${file}`);
      output.say(`Next: read ${directory}/README.md`);
    }
    return ExitCode.ok;
  });
}

/** What speaks the protocol is the same as in the example, which the conformance suite holds to the contract. */
function pythonRuntime({ packageRoot }: Pick<CliDependencies, "packageRoot">): Readonly<Record<string, string>> {
  const example = join(packageRoot, "examples", "python-processor");
  const files = ["identity.py", "life.py", "inlet.py", "outlet.py"].map((file) => [file, join(example, file)]);
  return { ...Object.fromEntries(files), proto: join(packageRoot, "proto") };
}

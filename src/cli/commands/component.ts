import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { FlowctlError } from "../../foundation/errors.ts";
import type { BuiltinSpec } from "../../pipeline/catalog.ts";
import type { ComponentType } from "../../pipeline/pipeline.ts";
import { type Cli, type CommandContext, describe, handle, jsonOption, timeoutOption } from "../command.ts";
import { renderTable } from "../display/table.ts";
import { ExitCode } from "../exit-codes.ts";
import type { Flags } from "../settings.ts";

const TYPES = ["source", "processor", "sink"] as const;

interface RunFlags extends Flags {
  readonly type?: ComponentType;
}

interface TestFlags extends Flags {
  readonly type?: ComponentType;
  readonly config?: unknown;
  readonly events?: string;
  readonly only?: readonly string[];
  readonly image?: string;
  readonly timeout?: number;
  readonly serial?: boolean;
  readonly insecure?: boolean;
}

export function componentCommand(cli: Cli): Command {
  const command = describe({
    usage: "component",
    summary: "Run, list and test components",
    examples: [
      ["flowctl component list", "the built-in components"],
      ["flowctl component test -- node dist/main.js", "check a component against the contract"],
      ["flowctl component run filter", "run a built-in component, as drivers do"],
    ],
  });
  command.addCommand(list(cli)).addCommand(run(cli)).addCommand(test(cli));
  return command;
}

function list(cli: Cli): Command {
  const command = describe({
    usage: "list",
    summary: "List the built-in components",
    examples: [["flowctl component list --json", "with the JSON Schema of their settings"]],
  });
  jsonOption(command);
  return handle<[], Flags>(cli, command, async (context) => {
    const { deps, output } = context;
    const specs = [...(await deps.catalog()).values()];
    if (output.json) {
      const { settingsJsonSchema } = await import("../../pipeline/schema/settings-json-schema.ts");
      output.printJson(
        specs.map((spec) => ({
          name: spec.name,
          type: spec.type,
          summary: spec.summary,
          schema: settingsJsonSchema(spec),
        })),
      );
      return ExitCode.ok;
    }
    const columns = [
      { title: "TYPE", value: ({ type }: BuiltinSpec) => type },
      { title: "USES", value: ({ name }: BuiltinSpec) => name },
      { title: "WHAT IT DOES", narrow: "wrap" as const, value: ({ summary }: BuiltinSpec) => summary },
    ];
    output.print(renderTable(columns, specs, output));
    return ExitCode.ok;
  });
}

function run(cli: Cli): Command {
  const command = describe({
    usage: "run <name>",
    summary: "Run a built-in component",
    description:
      "Reads the environment of the component contract (FLOWCTL_CONTROL_PLANE, FLOWCTL_CONFIG, …), which a driver sets, and exits with the component.",
    examples: [["FLOWCTL_COMPONENT_TYPE=processor flowctl component run filter", "as a driver would"]],
  });
  command.addOption(
    new Option(
      "--type <type>",
      "its type; default what FLOWCTL_COMPONENT_TYPE says, or the only one of that name",
    ).choices([...TYPES]),
  );
  return handle<[string], RunFlags>(cli, command, async ({ deps }, [name], flags) => {
    const types = [...(await deps.catalog()).values()].filter((spec) => spec.name === name).map(({ type }) => type);
    const said = flags.type ?? TYPES.find((type) => type === deps.env.FLOWCTL_COMPONENT_TYPE);
    const type = said ?? (types.length === 1 ? types[0] : undefined);
    if (type === undefined || !types.includes(type)) {
      throw new FlowctlError({
        code: "cli/which-builtin",
        kind: types.length === 0 ? "not-found" : "usage",
        message:
          types.length === 0
            ? `No such built-in component: ${JSON.stringify(name)}`
            : `${name} is ${types.join(" and ")}${type === undefined ? "" : `, not ${type}`}`,
        fix: types.length === 0 ? "`flowctl component list` lists them" : "Specify one with --type",
      });
    }
    await deps.runBuiltin(type, name);
    return ExitCode.ok;
  });
}

function test(cli: Cli): Command {
  const command = describe({
    usage: "test [command...]",
    summary: "Test a component, in any language, against the component contract",
    description:
      "Runs the command (or the image) many times, with a test control plane, upstream and downstream around it, and checks identity, registration, heartbeats, health, streams, acknowledgements, credit and shutdown. Reports which parts of the contract it keeps.",
    examples: [
      ["flowctl component test -- node dist/main.js", "a program"],
      ["flowctl component test --image acme/enrich:1.4", "an image"],
      ['flowctl component test --config \'{"where":"true"}\' -- ./run', "with settings"],
    ],
    exitCodes: [ExitCode.ok, ExitCode.failed, ExitCode.usage],
  });
  command
    .addOption(new Option("--type <type>", "component type (default: the one it registers with)").choices([...TYPES]))
    .addOption(new Option("--config <json>", "its `with:`, as JSON").argParser(parseJson))
    .addOption(new Option("--events <file>", "sample events for a processor or sink: one JSON object per line"))
    .addOption(
      new Option("--only <check>", "run only this check; can be repeated").argParser(
        (value: string, previous: readonly string[] | undefined) => [...(previous ?? []), value],
      ),
    )
    .addOption(new Option("--image <reference>", "test an image instead of a command"))
    .addOption(new Option("--serial", "run one instance of the component at a time"))
    .addOption(
      new Option("--insecure", "speak without TLS, and leave identity unchecked: for a component without certificates"),
    );
  timeoutOption(command, "how long it may take from its start to its registration");
  jsonOption(command);
  return handle<[readonly string[]], TestFlags>(cli, command, testComponent);
}

async function testComponent(
  context: CommandContext,
  [argv]: [readonly string[]],
  flags: TestFlags,
): Promise<ExitCode> {
  const { deps, output, signal } = context;
  if (argv.length === 0 && flags.image === undefined) {
    throw new FlowctlError({
      code: "cli/what-to-test",
      kind: "usage",
      message: "Specify a command or an image to test",
      fix: "Run `flowctl component test -- COMMAND`, or `flowctl component test --image REFERENCE`",
    });
  }
  const {
    launchCommand,
    launchImage,
    parseSampleEvents,
    renderReport,
    testComponent: examine,
  } = await import("../../conformance/index.ts");
  const events = flags.events === undefined ? [] : parseSampleEvents(await readEvents(resolve(deps.cwd, flags.events)));
  const progress = await context.progress();
  try {
    const report = await examine({
      launch:
        flags.image === undefined
          ? launchCommand(argv, { environment: deps.env, workingDirectory: deps.cwd })
          : launchImage(flags.image, argv, { environment: deps.env }),
      ...(flags.type === undefined ? {} : { type: flags.type }),
      config: flags.config ?? {},
      events,
      only: flags.only ?? [],
      ...(flags.serial ? { concurrency: 1 } : {}),
      insecure: flags.insecure ?? false,
      ...(flags.timeout === undefined ? {} : { timing: { startMs: flags.timeout } }),
      onProgress: ({ finished, total, title }) =>
        progress.sink({ subject: "checks", status: "working", text: title, fraction: finished / total }),
      signal,
    });
    progress.stop();
    if (output.json) output.printJson(report);
    else output.print(renderReport(report, output.paint).trimEnd());
    return report.conforms ? ExitCode.ok : ExitCode.failed;
  } finally {
    progress.stop();
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new InvalidArgumentError("It has to be JSON.");
  }
}

async function readEvents(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw FlowctlError.wrap(error, {
      code: "cli/no-events",
      kind: "invalid",
      message: `Cannot read ${path}`,
      fix: "Name a file of sample events with --events: one JSON object per line",
    });
  }
}

import type { Command } from "commander";
import type { Driver, LogLine, ObservedResource } from "../../drivers/driver.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import { type Cli, type CommandContext, describe, handle, jsonOption, pipelineOptions } from "../command.ts";
import { ControlPlaneAccess } from "../control-plane-access.ts";
import type { Output } from "../display/output.ts";
import { checkLeftovers, checkMachine, checkPorts } from "../doctor/check-machine.ts";
import { checkPipeline } from "../doctor/check-pipeline.ts";
import { type Finding, ok, problem } from "../doctor/finding.ts";
import { ExitCode } from "../exit-codes.ts";
import { availableDrivers } from "../holdings.ts";
import { findPipelineFile, loadValid } from "../load.ts";
import type { Flags } from "../settings.ts";
import { findTarget, type Target } from "../target.ts";
import { lastWordsOfControlPlane } from "../up/last-words.ts";

export function doctorCommand(cli: Cli): Command {
  const command = describe({
    usage: "doctor [pipeline]",
    summary: "Look for what is wrong with this machine and with a pipeline",
    description:
      "Checks Node.js, the drivers and their engines, disks, the ports that the pipeline file publishes, and what earlier runs left. Of a running pipeline it says who has not registered, who is unhealthy and what it logged last, where no events flow, and who holds whom up. Every finding has a fix. Changes nothing.",
    examples: [
      ["flowctl doctor", "this machine, and the pipeline of this folder"],
      ["flowctl doctor quakes --json", "a pipeline by its name, for machines"],
    ],
    exitCodes: [ExitCode.ok, ExitCode.failed, ExitCode.usage],
  });
  jsonOption(pipelineOptions(command));
  return handle<[string | undefined], Flags>(cli, command, doctor);
}

async function doctor(context: CommandContext, [argument]: [string | undefined]): Promise<ExitCode> {
  const { output } = context;
  const found = [...(await checkMachine(context)), ...(await checkFile(context, argument))];
  const target = await findRunning(context, argument);
  const drivers = await availableDrivers(context);
  const others = await checkLeftovers(drivers, context.signal);
  found.push(...others.filter(({ subject }) => subject !== `pipeline ${target?.name}`));
  if (target !== undefined) found.push(...(await lookInto(context, target)));
  const findings = found.map(({ fix, ...finding }) => ({
    ...finding,
    ...(fix === undefined ? {} : { fix: output.retyped(fix) }),
  }));
  if (output.json) output.printJson(findings);
  else output.print(render(findings, output));
  return findings.some(({ level }) => level === "problem") ? ExitCode.failed : ExitCode.ok;
}

/** The pipeline that is meant, if anything of it exists. */
async function findRunning(context: CommandContext, argument: string | undefined): Promise<Target | undefined> {
  try {
    return await findTarget(context, argument);
  } catch (error) {
    // A machine without a pipeline, with several, or with a broken file can be looked at all the same.
    if (error instanceof FlowctlError && argument === undefined && error.kind !== "internal") return undefined;
    throw error;
  }
}

/** The pipeline file of this folder: whether it is valid, and whether its ports are free. */
async function checkFile(context: CommandContext, argument: string | undefined): Promise<readonly Finding[]> {
  if (argument !== undefined) return [];
  const { settings, deps } = context;
  const found = settings.files.length > 0 ? settings.files : [await findPipelineFile(deps.cwd)];
  const files = found.filter((path) => path !== undefined);
  if (files.length === 0) return [];
  try {
    const pipeline = await loadValid(context, files);
    const drivers = await availableDrivers(context);
    const publishers = await Promise.all(drivers.map((driver) => driver.here?.(context.signal)));
    const publishes =
      publishers.some((here) => here?.publishes === true) && !(await runsAnywhere(context, drivers, pipeline.name));
    const ports = publishes ? await checkPorts(pipeline) : [];
    return [ok("file", `${files.join(", ")} is valid`), ...ports];
  } catch (error) {
    if (!(error instanceof FlowctlError) || error.kind === "internal") throw error;
    return [problem("file", `${files.join(", ")}: ${error.message}`, error.fix ?? "Run `flowctl validate`")];
  }
}

/** Whether it has its ports itself. What cannot be looked at is taken to run: then nothing wrong is said of its ports. */
async function runsAnywhere({ signal }: CommandContext, drivers: readonly Driver[], name: string): Promise<boolean> {
  const runs = drivers.map((driver) =>
    driver.observe(name, signal).then(
      (observed) =>
        observed.some(({ kind, state }) => (kind === "component" || kind === "service") && state.status === "running"),
      () => true,
    ),
  );
  return (await Promise.all(runs)).includes(true);
}

async function lookInto(context: CommandContext, { name, driver }: Target): Promise<readonly Finding[]> {
  const { deps, signal } = context;
  const left = (): Promise<readonly Finding[]> =>
    checkLeftovers([driver], signal).then((all) => all.filter(({ subject }) => subject === `pipeline ${name}`));
  let observed: readonly ObservedResource[];
  try {
    observed = await driver.observe(name, signal);
  } catch (error) {
    if (!(error instanceof FlowctlError) || error.kind === "cancelled") throw error;
    return await left();
  }
  const ended = await lastWordsOfControlPlane(driver, name, signal);
  if (ended !== undefined) {
    const fix = ended.fix ?? `See \`flowctl logs -p ${name} control-plane\``;
    return [problem(`pipeline ${name}`, `its control plane does not stay up: ${ended.message} (${ended.code})`, fix)];
  }
  const runs = observed.some(({ kind, state }) => kind === "control-plane" && state.status === "running");
  if (!runs) return await left();
  const access = new ControlPlaneAccess(deps, driver, name);
  try {
    const record = await access.record(signal);
    const last = new Map<string, LogLine>();
    for await (const line of driver.logs(name, { select: [], follow: false, tail: 1 }, signal)) {
      last.set(line.instance, line);
    }
    return checkPipeline({ name, observed, record, lastLine: (id) => last.get(id) }, deps.clock.now());
  } finally {
    access.close();
  }
}

function render(findings: readonly Finding[], output: Output): string {
  const { paint } = output;
  const marks = { ok: paint.green("ok     "), warning: paint.yellow("warning"), problem: paint.red("problem") };
  const lines = findings.flatMap(({ level, subject, detail, fix }) => [
    `${marks[level]}  ${paint.bold(subject)}: ${detail}`,
    ...(fix === undefined ? [] : [`         ${paint.dim("fix:")} ${fix}`]),
  ]);
  const count = (level: Finding["level"]): number => findings.filter((finding) => finding.level === level).length;
  lines.push("", `${count("problem")} problems, ${count("warning")} warnings`);
  return lines.join("\n");
}

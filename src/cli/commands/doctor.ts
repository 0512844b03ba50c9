import type { Command } from "commander";
import type { ObservedResource } from "../../drivers/driver.ts";
import { counted } from "../../foundation/counted.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import { TELLING_TAIL, tellingLine } from "../../foundation/telling-line.ts";
import { type Cli, type CommandContext, describe, handle, jsonOption, pipelineOptions } from "../command.ts";
import { ControlPlaneAccess } from "../control-plane-access.ts";
import type { Output } from "../display/output.ts";
import { checkFile } from "../doctor/check-file.ts";
import { checkHome, checkLeftovers } from "../doctor/check-leftovers.ts";
import { checkMachine } from "../doctor/check-machine.ts";
import { checkPipeline } from "../doctor/check-pipeline.ts";
import { type Finding, problem } from "../doctor/finding.ts";
import { scalingOf } from "../doctor/scaling.ts";
import { upCommandOf } from "../doctor/up-command.ts";
import { availableDrivers } from "../existing-pipelines.ts";
import { ExitCode } from "../exit-codes.ts";
import { folderOf } from "../project.ts";
import type { Flags } from "../settings.ts";
import { slowComponents } from "../slow-components.ts";
import { findTarget, type Target } from "../target.ts";
import { failureOfControlPlane } from "../up/control-plane-failure.ts";

export function doctorCommand(cli: Cli): Command {
  const command = describe({
    usage: "doctor [pipeline]",
    summary: "Find problems with this machine and a pipeline",
    description:
      "Checks Node.js, the drivers and their engines, disks, whether the pipeline file can be brought up, published ports, and leftovers of earlier runs. For a running pipeline it reports an engine access that does not run (Docker), instances that are missing, unregistered or unhealthy with their last log line, components without events, and which component blocks which. Every finding has a fix. Changes nothing.",
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
  found.push(...(await checkLeftovers(context, drivers, target)));
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

async function lookInto(context: CommandContext, { name, driver, file }: Target): Promise<readonly Finding[]> {
  const { deps, signal } = context;
  const left = (): Promise<readonly Finding[]> => checkHome(context, driver, name, file);
  let observed: readonly ObservedResource[];
  try {
    observed = await driver.observe(name, signal);
  } catch (error) {
    if (!(error instanceof FlowctlError) || error.kind === "cancelled") throw error;
    return await left();
  }
  const ended = await failureOfControlPlane(driver, name, signal);
  if (ended !== undefined) {
    const fix = ended.fix ?? `See \`flowctl logs -p ${name} control-plane\``;
    const detail = `its control plane keeps failing: ${ended.message} (${ended.code})`;
    return [problem(`pipeline ${name}`, detail, fix), ...(await left())];
  }
  const runs = observed.some(({ kind, state }) => kind === "control-plane" && state.status === "running");
  if (!runs) return await left();
  const access = new ControlPlaneAccess(deps, driver, name);
  try {
    const record = await access.record(signal);
    const logged = new Map<string, string[]>();
    for await (const { instance, text } of driver.logs(
      name,
      { select: [], follow: false, tail: TELLING_TAIL },
      signal,
    )) {
      logged.set(instance, [...(logged.get(instance) ?? []), text]);
    }
    const slow = record === undefined ? [] : slowComponents(record);
    const facts = {
      ...{ name, driver: driver.name, observed, record, away: access.hanging ?? access.away() },
      up: (await upCommandOf(context, name, folderOf(observed))) ?? `flowctl up -d -p ${name}`,
      scaling: await scalingOf(context, file, slow, record),
    };
    return checkPipeline({ ...facts, lastLine: (id) => tellingLine(logged.get(id) ?? []) }, deps.clock.now());
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
  lines.push("", `${counted(count("problem"), "problem")}, ${counted(count("warning"), "warning")}`);
  return lines.join("\n");
}

import { existsSync } from "node:fs";
import type { Driver, ObservedResource } from "../../drivers/driver.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import type { Pipeline } from "../../pipeline/pipeline.ts";
import { instanceIdsOf } from "../../protocol/records.ts";
import type { CommandContext } from "../command.ts";
import { folderOf } from "../project.ts";
import { checkEngineAccess } from "./check-engine-access.ts";
import { type Finding, ok, problem, warning } from "./finding.ts";
import { upCommandOf } from "./up-command.ts";

/** What exists on the drivers besides `except`: pipelines that run, that run without a control plane, and what earlier ones left. */
export async function checkLeftovers(
  context: CommandContext,
  drivers: readonly Driver[],
  except: { readonly name: string; readonly driver: Driver } | undefined,
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const driver of drivers) {
    for (const pipeline of await driver.pipelines(context.signal)) {
      if (pipeline === except?.name && driver.name === except.driver.name) continue;
      findings.push(...(await checkHome(context, driver, pipeline)));
    }
  }
  return findings;
}

/**
 * One pipeline on one driver, without asking its control plane.
 *
 * @param file What is to run, where a file says so: the control plane would know better, but cannot be asked.
 */
export async function checkHome(
  context: CommandContext,
  driver: Driver,
  pipeline: string,
  file?: Pick<Pipeline, "components">,
): Promise<readonly Finding[]> {
  let observed: readonly ObservedResource[];
  try {
    observed = await driver.observe(pipeline, context.signal);
  } catch (error) {
    if (!(error instanceof FlowctlError) || error.kind === "cancelled") throw error;
    const fix = error.fix ?? `See \`flowctl logs -p ${pipeline} control-plane\``;
    return [problem(`pipeline ${pipeline}`, error.message, fix)];
  }
  const folder = folderOf(observed);
  const up = await upCommandOf(context, pipeline, folder);
  const isGone = folder !== undefined && !existsSync(folder);
  const wanted = (file?.components ?? []).flatMap(({ id, replicas }) => instanceIdsOf({ id, replicas }));
  const goneFolder = isGone ? folder : undefined;
  const other = folder === undefined || isGone ? undefined : `flowctl up -d -p ${pipeline} -f FILE`;
  return checkResources({
    ...{ pipeline, driver: driver.name, observed, wanted, up: up ?? other, goneFolder },
    restartsExited: driver.capabilities.restartsExited,
    folder: up === undefined && other !== undefined ? folder : undefined,
  });
}

/** What is known of a pipeline without its control plane. */
export interface Resources {
  readonly pipeline: string;
  readonly driver: string;
  /** Whether the driver itself starts again what has exited. */
  readonly restartsExited: boolean;
  readonly observed: readonly ObservedResource[];
  /** Ids of the instances that are to run, as far as that is known. */
  readonly wanted?: readonly string[];
  /** The command that makes it run; undefined where no file of it is found. */
  readonly up: string | undefined;
  /** Where its file is that `up` is to name, where that has none of the usual names. */
  readonly folder?: string | undefined;
  /** The folder that it belongs to, where that is not there any more. */
  readonly goneFolder: string | undefined;
}

/** The same from what was found. Pure. */
export function checkResources(resources: Resources): readonly Finding[] {
  const { pipeline, driver, restartsExited, observed, up, goneFolder, folder } = resources;
  const subject = `pipeline ${pipeline}`;
  const exists = observed.filter(({ kind }) => kind === "component" || kind === "service" || kind === "control-plane");
  const runs = exists.filter(({ state }) => state.status === "running");
  const where = goneFolder === undefined ? "" : `; its folder ${goneFolder} is gone`;
  const on = `-p ${pipeline} --driver ${driver}`;
  const fixWith = (down: string): string =>
    up === undefined
      ? `Remove it with \`${down} ${on}\``
      : `Continue with \`${up}\`${folder === undefined ? "" : ` (FILE is in ${folder})`}, or remove it with \`${down} ${on}\``;
  if (runs.some(({ kind }) => kind === "control-plane")) {
    const engine = checkEngineAccess(observed, up ?? `flowctl up -d -p ${pipeline}`, pipeline);
    if (goneFolder === undefined) return [ok(subject, `runs on ${driver}`), ...engine];
    return [warning(subject, `runs on ${driver}${where}`, fixWith("flowctl down")), ...engine];
  }
  if (runs.length > 0) {
    const names = runs.map(({ name }) => name).join(", ");
    const unwatched = restartsExited
      ? "nothing that is started can register, and nothing that hangs is restarted"
      : "nothing is restarted when it exits";
    const detail = `is running on ${driver} without a control plane, so ${unwatched}: ${names}${where}`;
    return [problem(subject, detail, fixWith("flowctl down")), ...notRunning(resources)];
  }
  if (exists.length > 0 || observed.some(({ kind }) => kind === "network")) {
    return [warning(subject, `exists on ${driver}, but nothing is running${where}`, fixWith("flowctl down"))];
  }
  return [warning(subject, `has stored state left on ${driver}${where}`, fixWith("flowctl down -v"))];
}

/** Instances that ended badly, or are not there at all, while nobody could start them again. */
function notRunning({ pipeline, driver, observed, wanted = [], up }: Resources): readonly Finding[] {
  const fix = up === undefined ? `Remove the rest with \`flowctl down -p ${pipeline}\`` : `Start it with \`${up}\``;
  const instances = observed.filter(({ kind }) => kind === "component" || kind === "service");
  const there = new Set(instances.map(({ owner, index }) => `${owner}-${index}`));
  const ended = instances.flatMap(({ owner, index, state }) => {
    if (state.status !== "exited" || (state.exitCode === 0 && !state.oomKilled)) return [];
    return [problem(`${owner}-${index}`, `is not running: it ${howItEnded(state)}`, fix)];
  });
  const missing = wanted
    .filter((id) => !there.has(id))
    .map((id) => problem(id, `it is in the pipeline file, but does not exist on ${driver}`, fix));
  return [...ended, ...missing];
}

function howItEnded({ exitCode, oomKilled }: { readonly exitCode: number; readonly oomKilled: boolean }): string {
  if (oomKilled) return "ran out of memory";
  // Nobody was there to see the code of a process that ended while its supervisor did not run.
  return exitCode < 0 ? "ended while no control plane ran" : `exited with code ${exitCode}`;
}

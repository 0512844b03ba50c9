import { access } from "node:fs/promises";
import { resolve } from "node:path";
import type { Driver } from "../drivers/driver.ts";
import { FlowctlError } from "../foundation/errors.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";
import { projectFolder } from "../pipeline/project-folder.ts";
import { noDriver } from "./choose-driver.ts";
import type { CommandContext } from "./command.ts";
import { findPipelineFile, loadValid } from "./load.ts";
import { folderOf, homesOf, isWithin, refuseOtherFolder } from "./project.ts";

/** A pipeline that exists on some driver. */
export interface Target {
  readonly name: string;
  readonly driver: Driver;
  /** What the file says now, where a file led to it. It may differ from what runs. */
  readonly file: Pipeline | undefined;
}

/** A pipeline and the driver that holds it. */
export interface Holding {
  readonly pipeline: string;
  readonly driver: Driver;
}

export interface FindTargetOptions {
  /** The command, such as `down`, where it changes what runs: then it needs a file, a folder or a name. */
  readonly changes?: string;
}

/**
 * The pipeline that a command about something running means: its argument (a name or a file), `-p`, `-f`, the file
 * found from the working directory up, the one that belongs to this folder, or, for a command that changes nothing, the
 * only one there is. Asks every available driver which holds it, so the file may be gone. Rejects with `cli/no-pipeline`
 * (kind not-found) when nothing of it exists, `cli/which-pipeline` or `cli/which-driver` (kind usage) when it could be
 * several, and `cli/other-folder` (kind conflict) when a file led to it and it belongs to another folder.
 */
export async function findTarget(
  context: CommandContext,
  argument?: string,
  options: FindTargetOptions = {},
): Promise<Target> {
  const { settings } = context;
  const byName = await isName(context, argument);
  const name = byName ? argument : settings.name;
  if (name !== undefined && settings.files.length === 0) return held(context, name, undefined);
  const files = argument === undefined || byName ? settings.files : [argument];
  const found = files.length > 0 ? files : await oneOrNone(context);
  if (found.length > 0) {
    const file = await loadValid(context, found);
    return held(context, file.name, file);
  }
  return withoutFile(context, options);
}

/** The pipeline of this folder, or the only one there is. */
async function withoutFile(context: CommandContext, { changes }: FindTargetOptions): Promise<Target> {
  const { deps, signal } = context;
  const holdings = await allPipelines(context);
  const folders = await Promise.all(
    holdings.map(async ({ pipeline, driver }) => folderOf(await driver.observe(pipeline, signal))),
  );
  const here = holdings.filter((_, at) => folders[at] !== undefined && isWithin(deps.cwd, folders[at]));
  const names = new Set(here.map(({ pipeline }) => pipeline));
  const [name] = names;
  if (name !== undefined && names.size === 1) return held(context, name, undefined);
  const candidates = here.length > 0 ? here : holdings;
  const [only] = holdings;
  if (only !== undefined && changes !== undefined) throw whichPipeline(candidates, `flowctl ${changes} -p NAME`);
  if (only !== undefined && holdings.length === 1) return { name: only.pipeline, driver: only.driver, file: undefined };
  if (only === undefined) {
    throw new FlowctlError({
      code: "cli/no-pipeline",
      kind: "not-found",
      message: `There is no pipeline file here, and no pipeline runs${await unlessUnseen(context)}`,
      fix: "Name a file with -f, or start one with `flowctl up FILE`",
    });
  }
  throw whichPipeline(candidates, "-p NAME");
}

function whichPipeline(holdings: readonly Holding[], how: string): FlowctlError {
  const names = [...new Set(holdings.map(({ pipeline }) => pipeline))];
  const [only] = names;
  return new FlowctlError({
    code: "cli/which-pipeline",
    kind: "usage",
    message:
      names.length === 1
        ? `There is no pipeline file here, and the pipeline ${only} belongs to another folder`
        : `Several pipelines exist: ${names.join(", ")}`,
    fix: `Say which one with \`${how}\``,
  });
}

/** Every pipeline of which anything exists, on every driver that answers, by name. */
export async function allPipelines(context: CommandContext): Promise<readonly Holding[]> {
  const found = await Promise.all(
    (await availableDrivers(context)).map(async (driver) =>
      (await driver.pipelines(context.signal)).map((pipeline) => ({ pipeline, driver })),
    ),
  );
  return found.flat().sort((a, b) => (a.pipeline < b.pipeline ? -1 : a.pipeline > b.pipeline ? 1 : 0));
}

/** The drivers that answer; only the one that `--driver` or FLOWCTL_DRIVER names, where they do. */
export async function availableDrivers(context: CommandContext): Promise<readonly Driver[]> {
  return (await askDrivers(context)).available;
}

/** As `availableDrivers`, with what the others say of why they are not. */
async function askDrivers(
  context: CommandContext,
): Promise<{ readonly available: readonly Driver[]; readonly reasons: readonly string[] }> {
  const { deps, settings, signal } = context;
  const asked = settings.driver;
  const names = deps.driverNames.filter((name) => asked === undefined || name === asked);
  if (asked !== undefined && names.length === 0) throw noDriver(asked, deps.driverNames);
  const probed = await Promise.all(
    names.map(async (name) => {
      const driver = await deps.driver(name);
      return { driver, probe: await driver.probe(signal) };
    }),
  );
  const refused = probed.find(({ probe }) => !probe.available);
  if (asked !== undefined && refused !== undefined && !refused.probe.available) {
    throw new FlowctlError({
      code: "cli/driver-unavailable",
      kind: "unavailable",
      message: `${settings.driverFrom ?? "The configuration"} asks for ${asked}, but ${refused.probe.reason}`,
      fix: refused.probe.fix ?? `Leave ${asked} out to use a driver that answers`,
    });
  }
  return {
    available: probed.filter(({ probe }) => probe.available).map(({ driver }) => driver),
    reasons: probed.flatMap(({ driver, probe }) => (probe.available ? [] : [`${driver.name}: ${probe.reason}`])),
  };
}

/** What might exist all the same, on a driver that could not be asked; empty where all could. */
export async function unlessUnseen(context: CommandContext): Promise<string> {
  const { reasons } = await askDrivers(context);
  return reasons.length === 0 ? "" : `, as far as can be seen (${reasons.join("; ")})`;
}

async function held(context: CommandContext, name: string, file: Pipeline | undefined): Promise<Target> {
  const homes = await homesOf(name, await availableDrivers(context), context.signal);
  const up = homes.filter(({ isUp }) => isUp);
  // State that an earlier run left on another driver is not what a command is about while the pipeline is up.
  const candidates = up.length > 0 ? up : homes;
  const [only] = candidates;
  if (only !== undefined && candidates.length === 1) {
    if (file !== undefined) refuseOtherFolder(name, projectFolder(file), only.observed);
    return { name, driver: only.driver, file };
  }
  if (only === undefined) {
    throw new FlowctlError({
      code: "cli/no-pipeline",
      kind: "not-found",
      message: `Nothing of the pipeline ${JSON.stringify(name)} exists${await unlessUnseen(context)}`,
      fix: "Start it with `flowctl up` in the folder of its file; `flowctl ps -a` lists what runs",
    });
  }
  throw new FlowctlError({
    code: "cli/which-driver",
    kind: "usage",
    message: `${name} exists on ${candidates.map(({ driver }) => driver.name).join(" and on ")}`,
    fix: `Say which one with ${candidates.map(({ driver }) => `\`--driver ${driver.name}\``).join(" or ")}`,
  });
}

async function oneOrNone(context: CommandContext): Promise<readonly string[]> {
  const path = await findPipelineFile(context.deps.cwd);
  return path === undefined ? [] : [path];
}

/** Whether an argument is a pipeline's name rather than a file: it does not look like a path, and no such file exists. */
async function isName(context: CommandContext, argument: string | undefined): Promise<boolean> {
  if (argument === undefined || argument === "-" || argument.includes("/") || /\.ya?ml$/.test(argument)) return false;
  return access(resolve(context.deps.cwd, argument)).then(
    () => false,
    () => true,
  );
}

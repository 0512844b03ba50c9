import { access } from "node:fs/promises";
import { resolve } from "node:path";
import type { Driver } from "../drivers/driver.ts";
import { FlowctlError } from "../foundation/errors.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";
import { noDriver } from "./choose-driver.ts";
import type { CommandContext } from "./command.ts";
import { findPipelineFile, loadValid } from "./load.ts";

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

/**
 * The pipeline that a command about something running means: its argument (a name or a file), `-p`, `-f`, the file
 * found from the working directory up, or the only one there is. Asks every available driver which holds it, so the
 * file may be gone. Rejects with `cli/no-pipeline` (kind not-found) when nothing of it exists, `cli/which-pipeline` or
 * `cli/which-driver` (kind usage) when it could be several.
 */
export async function findTarget(context: CommandContext, argument?: string): Promise<Target> {
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
  const holdings = await allPipelines(context);
  const [only] = holdings;
  if (only !== undefined && holdings.length === 1) return { name: only.pipeline, driver: only.driver, file: undefined };
  if (only === undefined) {
    throw new FlowctlError({
      code: "cli/no-pipeline",
      kind: "not-found",
      message: `There is no pipeline file here, and no pipeline runs${await unlessUnseen(context)}`,
      fix: "Name a file with -f, or start one with `flowctl up FILE`",
    });
  }
  throw new FlowctlError({
    code: "cli/which-pipeline",
    kind: "usage",
    message: `Several pipelines exist: ${holdings.map(({ pipeline }) => pipeline).join(", ")}`,
    fix: "Say which one with -p NAME",
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
      fix: refused.probe.fix ?? "Start its engine",
    });
  }
  return {
    available: probed.filter(({ probe }) => probe.available).map(({ driver }) => driver),
    reasons: probed.flatMap(({ driver, probe }) => (probe.available ? [] : [`${driver.name}: ${probe.reason}`])),
  };
}

/** What might exist all the same, on a driver that could not be asked; empty where all could. */
async function unlessUnseen(context: CommandContext): Promise<string> {
  const { reasons } = await askDrivers(context);
  return reasons.length === 0 ? "" : `, as far as can be seen (${reasons.join("; ")})`;
}

async function held(context: CommandContext, name: string, file: Pipeline | undefined): Promise<Target> {
  const holdings = (await allPipelines(context)).filter(({ pipeline }) => pipeline === name);
  const [only] = holdings;
  if (only !== undefined && holdings.length === 1) return { name, driver: only.driver, file };
  if (only === undefined) {
    throw new FlowctlError({
      code: "cli/no-pipeline",
      kind: "not-found",
      message: `Nothing of the pipeline ${JSON.stringify(name)} exists${await unlessUnseen(context)}`,
      fix: "Start it with `flowctl up`; `flowctl ps -a` lists what runs",
    });
  }
  throw new FlowctlError({
    code: "cli/which-driver",
    kind: "usage",
    message: `${name} exists on ${holdings.map(({ driver }) => driver.name).join(" and on ")}`,
    fix: "Say which one with --driver",
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

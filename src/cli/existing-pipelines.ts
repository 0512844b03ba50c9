import type { Driver } from "../drivers/driver.ts";
import { FlowctlError } from "../foundation/errors.ts";
import { grantedDriver } from "./access/granted-driver.ts";
import { noDriver } from "./choose-driver.ts";
import type { CommandContext } from "./command.ts";
import { folderOf } from "./project.ts";

/** A pipeline and the driver that holds it. */
export interface ExistingPipeline {
  readonly pipeline: string;
  readonly driver: Driver;
}

/** The same with the folder that it belongs to. */
export interface FolderPipeline extends ExistingPipeline {
  readonly folder: string;
}

/** The pipelines among these that belong to a folder for which `isMeant` says so. */
export async function pipelinesOfFolder(
  pipelines: readonly ExistingPipeline[],
  isMeant: (folder: string) => boolean,
  signal: AbortSignal,
): Promise<readonly FolderPipeline[]> {
  const found = await Promise.all(
    pipelines.map(async (one) => {
      const folder = folderOf(await one.driver.observe(one.pipeline, signal));
      return folder !== undefined && isMeant(folder) ? [{ ...one, folder }] : [];
    }),
  );
  return found.flat();
}

/** Every pipeline of which anything exists, on every driver that answers, by name. */
export async function allPipelines(context: CommandContext): Promise<readonly ExistingPipeline[]> {
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
  if (context.access !== undefined) return { available: [grantedDriver(deps, context.access)], reasons: [] };
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
      message: `${settings.driverFrom ?? "The configuration"} requires ${asked}, but ${refused.probe.reason}`,
      fix: refused.probe.fix ?? `Omit ${asked} to use a driver that is available`,
    });
  }
  return {
    available: probed.filter(({ probe }) => probe.available).map(({ driver }) => driver),
    reasons: probed.flatMap(({ driver, probe }) => (probe.available ? [] : [`${driver.name}: ${probe.reason}`])),
  };
}

/** What might exist all the same, on a driver that could not be asked; empty where all could. */
export async function asFarAsSeen(context: CommandContext): Promise<string> {
  const { reasons } = await askDrivers(context);
  return reasons.length === 0 ? "" : `, as far as can be seen (${reasons.join("; ")})`;
}

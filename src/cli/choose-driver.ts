import type { Driver } from "../drivers/driver.ts";
import { FlowctlError } from "../foundation/errors.ts";
import type { DriverName, Pipeline } from "../pipeline/pipeline.ts";
import { type Lacking, runnableOn } from "../pipeline/runnable-on.ts";
import type { CliDependencies } from "./dependencies.ts";
import type { Settings } from "./settings.ts";

/** As `Settings.driverFrom`: what runs stays where it runs, and what was taken down goes on from what it stored. */
export const RUNNING_PIPELINE = "the running pipeline";
export const STORED_STATE = "the stored state";

/** Why a pipeline stays where it is, for people. */
const STAYS: ReadonlyMap<string, string> = new Map([
  [RUNNING_PIPELINE, "already running there"],
  [STORED_STATE, "its stored state is there"],
]);

export interface ChosenDriver {
  readonly driver: Driver;
  /** Why this one, for people: `chosen by --driver`, `Docker 26.1.5`. */
  readonly why: string;
}

/**
 * The driver that a pipeline is to run on: what flag, environment, pipeline file or config file say, in this order, else
 * the first that can run every component and whose engine answers. Rejects with `cli/driver-unavailable`, `cli/driver-lacks` or
 * `cli/no-driver`, which name the component and what it lacks.
 */
export async function chooseDriver(
  pipeline: Pipeline,
  settings: Pick<Settings, "driver" | "driverFrom" | "usualDriver">,
  deps: Pick<CliDependencies, "driver" | "driverNames">,
  signal: AbortSignal,
): Promise<ChosenDriver> {
  const said = settings.driver ?? pipeline.driver ?? settings.usualDriver;
  const runnable = new Map(runnableOn(pipeline).map((entry) => [entry.driver, entry.lacking]));
  if (said !== undefined) {
    const inFile = pipeline.driver === undefined ? "the config file" : "the pipeline file";
    const from = settings.driver === undefined ? inFile : (settings.driverFrom ?? "the command line");
    return asSaid(said, from, runnable.get(said) ?? [], deps, signal);
  }
  const refusals: string[] = [];
  const passedOver: string[] = [];
  for (const name of deps.driverNames) {
    // A cluster is never taken unasked: whoever has credentials for one may not want this to run there.
    if (name === "kubernetes") continue;
    const lacking = runnable.get(name) ?? [];
    if (lacking.length > 0) {
      refusals.push(`${name}: ${sentence(lacking)}`);
      passedOver.push(`${lacking[0]?.component} cannot run on ${name}`);
      continue;
    }
    const driver = await deps.driver(name);
    const probe = await driver.probe(signal);
    if (probe.available) return { driver, why: [...passedOver, probe.detail].join("; ") };
    refusals.push(`${name}: ${probe.reason}`);
    passedOver.push(`${name} is not available (${probe.reason})`);
  }
  throw new FlowctlError({
    code: "cli/no-driver",
    kind: "unavailable",
    message: `No driver can run ${pipeline.name}: ${refusals.join("; ")}`,
    fix: "Start a Docker engine (`sudo systemctl start docker`), or give every component `uses` or `command` so that it can run as a process",
  });
}

/** The error for a driver that was asked for and that this flowctl does not have. */
export function noDriver(name: DriverName, names: readonly DriverName[]): FlowctlError {
  return new FlowctlError({
    code: "cli/driver-unavailable",
    kind: "unavailable",
    message: `The ${name} driver is not available in this version`,
    fix: `Use one of ${names.join(", ")}`,
  });
}

function otherDrivers(name: DriverName, names: readonly DriverName[]): string {
  const others = names.filter((other) => other !== name).map((other) => `\`--driver ${other}\``);
  return others.length === 0 ? "another driver" : others.join(" or ");
}

async function asSaid(
  name: DriverName,
  from: string,
  lacking: readonly Lacking[],
  deps: Pick<CliDependencies, "driver" | "driverNames">,
  signal: AbortSignal,
): Promise<ChosenDriver> {
  if (!deps.driverNames.includes(name)) throw noDriver(name, deps.driverNames);
  if (lacking.length > 0) {
    throw new FlowctlError({
      code: "cli/driver-lacks",
      kind: "invalid",
      message: `${from} requires ${name}, but ${sentence(lacking)}`,
      fix: `Give ${lacking[0]?.component ?? "it"} what it lacks, or use ${otherDrivers(name, deps.driverNames)}`,
      path: lacking[0]?.component ?? "",
    });
  }
  const driver = await deps.driver(name);
  const probe = await driver.probe(signal);
  if (probe.available) return { driver, why: STAYS.get(from) ?? `chosen by ${from}` };
  throw new FlowctlError({
    code: "cli/driver-unavailable",
    kind: "unavailable",
    message: `${from} requires ${name}, but ${probe.reason}`,
    fix: probe.fix ?? `Use ${otherDrivers(name, deps.driverNames)}`,
  });
}

function sentence(lacking: readonly Lacking[]): string {
  return lacking.map(({ component, reason }) => `\`${component}\` ${reason}`).join(", ");
}

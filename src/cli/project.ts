import { existsSync } from "node:fs";
import { dirname } from "node:path";
import type { Driver, ObservedResource } from "../drivers/driver.ts";
import { FlowctlError } from "../foundation/errors.ts";
import { canonicalFolder } from "../pipeline/project-folder.ts";

/** What there is of one pipeline on one driver. */
export interface Home {
  readonly driver: Driver;
  readonly observed: readonly ObservedResource[];
  /** Something besides stored state: it runs, is stopped, or was left by a crash. */
  readonly isUp: boolean;
}

/** What there is of a pipeline on each of these drivers: first where it is up, then where only state is kept. */
export async function homesOf(name: string, drivers: readonly Driver[], signal: AbortSignal): Promise<readonly Home[]> {
  const found = await Promise.all(
    drivers.map(async (driver) => {
      if (!(await driver.pipelines(signal)).includes(name)) return [];
      const observed = await driver.observe(name, signal);
      return [{ driver, observed, isUp: isUp(observed) }];
    }),
  );
  const homes = found.flat();
  return [...homes.filter(({ isUp }) => isUp), ...homes.filter(({ isUp }) => !isUp)];
}

/** Whether there is more of a pipeline than what it has stored, which `flowctl down` keeps. */
export function isUp(observed: readonly ObservedResource[]): boolean {
  return observed.some(({ kind }) => kind !== "volume");
}

/** The folder that a pipeline belongs to; undefined where none was recorded. */
export function folderOf(observed: readonly ObservedResource[]): string | undefined {
  return (observed.find(({ kind, folder }) => kind !== "volume" && folder !== undefined) ?? observed[0])?.folder;
}

/**
 * Throws `cli/other-folder` (kind conflict) when something of the pipeline belongs to another folder than `here`. State
 * whose folder is gone, and of which nothing else is left, may be taken over: that folder is returned.
 */
export function refuseOtherFolder(
  name: string,
  here: string,
  observed: readonly ObservedResource[],
): string | undefined {
  const foreign = observed.filter(({ folder }) => folder !== undefined && folder !== here);
  const blocking =
    foreign.find(({ kind }) => kind !== "volume") ?? foreign.find(({ folder = "" }) => existsSync(folder));
  if (blocking === undefined) return observed.some(({ folder }) => folder === here) ? undefined : foreign[0]?.folder;
  // While anything of it is there, that belongs to the same folder as what is stored.
  const [what, others] =
    blocking.kind === "volume"
      ? [`Pipeline ${name} is not running, but its stored state`, "the stored state"]
      : [`Pipeline ${name}`, "the other pipeline and what it has stored"];
  throw new FlowctlError({
    code: "cli/other-folder",
    kind: "conflict",
    message: `${what} belongs to ${blocking.folder}, not to ${here}`,
    fix: `Choose another name with \`-p NAME\`, or remove ${others} with \`flowctl down -v -p ${name}\``,
  });
}

/** Whether `folder` is `cwd` or one of the folders above it. */
export function isWithin(cwd: string, folder: string): boolean {
  for (let here = canonicalFolder(cwd); ; here = dirname(here)) {
    if (here === folder) return true;
    if (here === dirname(here)) return false;
  }
}

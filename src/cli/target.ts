import { access } from "node:fs/promises";
import { resolve } from "node:path";
import type { GrantedAccess } from "../client/access-file.ts";
import type { Driver } from "../drivers/driver.ts";
import { closest } from "../foundation/did-you-mean.ts";
import { FlowctlError } from "../foundation/errors.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";
import { projectFolder } from "../pipeline/project-folder.ts";
import { grantedDriver } from "./access/granted-driver.ts";
import type { CommandContext } from "./command.ts";
import {
  allPipelines,
  asFarAsSeen,
  availableDrivers,
  type ExistingPipeline,
  pipelinesOfFolder,
} from "./existing-pipelines.ts";
import { findPipelineFiles } from "./find-pipeline-files.ts";
import { sameFor } from "./invocation.ts";
import { InvalidPipeline, loadValid } from "./load.ts";
import { homesOf, isWithin, refuseOtherFolder } from "./project.ts";
import { pipelinesOf, recordedPipeline } from "./recorded-pipeline.ts";

/** A pipeline that exists on some driver. */
export interface Target {
  readonly name: string;
  readonly driver: Driver;
  /** What the file says now, where a file led to it. It may differ from what runs. */
  readonly file: Pipeline | undefined;
}

/** Nothing of a pipeline exists, on no driver. */
export class NothingThere extends FlowctlError {
  /** Whether every driver was asked, and nothing else can be meant. */
  readonly isCertain: boolean;

  constructor(message: string, fix: string, isCertain: boolean) {
    super({ code: "cli/no-pipeline", kind: "not-found", message, fix });
    this.isCertain = isCertain;
  }
}

/** For commands to which nothing is as good as done: rejects with every other error, and where it is not certain. */
export function unlessNothing(error: unknown): NothingThere {
  if (error instanceof NothingThere && error.isCertain) return error;
  throw error;
}

export interface FindTargetOptions {
  /** The command, such as `down`, where it changes what runs: then it needs a file, a folder or a name. */
  readonly changes?: string;
  /** The file has to be valid, where there is one: its name is not enough. */
  readonly needsFile?: boolean;
}

/**
 * The pipeline that a command about something running means: its argument (a name or a file), `-p`, `-f`, the file
 * found from the working directory up, the one that belongs to this folder, or, for a command that changes nothing, the
 * only one there is. Asks every available driver which holds it, so the file may be gone, or have mistakes: then what is recorded for
 * its folder counts (see `recordedPipeline`), under a warning. Rejects with `NothingThere`
 * (`cli/no-pipeline`, kind not-found) when nothing of it exists, `cli/which-pipeline` or `cli/which-driver` (kind usage) when it could be
 * several, and `cli/other-folder` (kind conflict) when a file led to it and it belongs to another folder.
 */
export async function findTarget(
  context: CommandContext,
  argument?: string,
  options: FindTargetOptions = {},
): Promise<Target> {
  const { settings } = context;
  if (context.access !== undefined) return granted(context, context.access, argument ?? settings.name);
  const byName = await isName(context, argument);
  const name = byName ? argument : settings.name;
  if (name !== undefined && settings.files.length === 0) return held(context, name, {});
  const files = argument === undefined || byName ? settings.files : [argument];
  const found = files.length > 0 ? files : await findPipelineFiles(context.deps.cwd);
  if (found.length > 0) {
    const file = await loadValid(context, found).catch((error: unknown) => invalid(error, options));
    if (!(file instanceof InvalidPipeline)) return held(context, file.name, { folder: projectFolder(file), file });
    const { name: meant, folder } = await recordedPipeline(context, found, file, options.changes !== undefined);
    return held(context, meant, { folder });
  }
  return withoutFile(context, options);
}

/** The only pipeline that an access file is about. */
function granted({ deps }: CommandContext, access: GrantedAccess, asked: string | undefined): Target {
  const name = access.pipeline;
  if (asked === undefined || asked === name) return { name, driver: grantedDriver(deps, access), file: undefined };
  throw new FlowctlError({
    code: "cli/other-pipeline",
    kind: "usage",
    message: `The access file is for the pipeline ${name}, not for ${asked}`,
    fix: "Name that one, or use the access file for the other",
  });
}

/** Mistakes in the file, where the name of the pipeline is enough; rejects with all other errors. */
function invalid(error: unknown, { needsFile = false }: FindTargetOptions): InvalidPipeline {
  if (error instanceof InvalidPipeline && !needsFile) return error;
  throw error;
}

/** The pipeline of this folder, or the only one there is. */
async function withoutFile(context: CommandContext, { changes }: FindTargetOptions): Promise<Target> {
  const { deps, signal } = context;
  const pipelines = await allPipelines(context);
  const here = await pipelinesOfFolder(pipelines, (folder) => isWithin(deps.cwd, folder), signal);
  const names = new Set(here.map(({ pipeline }) => pipeline));
  const [own] = here;
  if (own !== undefined && names.size === 1) return held(context, own.pipeline, { folder: own.folder });
  const candidates = here.length > 0 ? here : pipelines;
  const [only] = pipelines;
  if (only !== undefined && changes !== undefined) throw whichPipeline(candidates, `flowctl ${changes} -p NAME`);
  if (only !== undefined && pipelines.length === 1)
    return { name: only.pipeline, driver: only.driver, file: undefined };
  if (only === undefined) {
    const unseen = await asFarAsSeen(context);
    throw new NothingThere(
      `No pipeline file found here, and no pipeline is running${unseen}`,
      "Specify a file with -f, or start a pipeline with `flowctl up FILE`",
      changes === undefined && unseen === "",
    );
  }
  throw whichPipeline(candidates, "-p NAME");
}

function whichPipeline(pipelines: readonly ExistingPipeline[], how: string): FlowctlError {
  const names = [...new Set(pipelines.map(({ pipeline }) => pipeline))];
  const [only] = names;
  return new FlowctlError({
    code: "cli/which-pipeline",
    kind: "usage",
    message:
      names.length === 1
        ? `No pipeline file found here, and the pipeline ${only} belongs to another folder`
        : `Several pipelines exist: ${names.join(", ")}`,
    fix: `Specify one with \`${how}\``,
  });
}

/** The pipeline of that name; where a file or a folder led to it, it has to belong to that folder. */
async function held(
  context: CommandContext,
  name: string,
  { folder, file }: { readonly folder?: string; readonly file?: Pipeline },
): Promise<Target> {
  const homes = await homesOf(name, await availableDrivers(context), context.signal);
  const up = homes.filter(({ isUp }) => isUp);
  // State that an earlier run left on another driver is not what a command is about while the pipeline is up.
  const candidates = up.length > 0 ? up : homes;
  const [only] = candidates;
  if (only !== undefined && candidates.length === 1) {
    if (folder !== undefined) refuseOtherFolder(name, folder, only.observed);
    return { name, driver: only.driver, file };
  }
  if (only === undefined) {
    const others = folder === undefined ? [] : await pipelinesOf(context, folder);
    const beside = others.length === 0 ? "" : `, but this folder has ${others.join(" and ")}, under another name`;
    const unseen = await asFarAsSeen(context);
    const near = folder === undefined ? await nearName(context, name) : undefined;
    throw new NothingThere(
      `Pipeline ${name} does not exist${unseen}${beside}`,
      near !== undefined
        ? `Did you mean \`${sameFor(near, context.invocation)}\`?`
        : others.length === 0
          ? "Start it with `flowctl up` in the folder of its file; `flowctl ps -a` lists what runs"
          : `If you meant that one: ${others.map((other) => `\`${sameFor(other, context.invocation)}\``).join(" or ")}`,
      unseen === "" && others.length === 0,
    );
  }
  throw new FlowctlError({
    code: "cli/which-driver",
    kind: "usage",
    message: `${name} exists on ${candidates.map(({ driver }) => driver.name).join(" and on ")}`,
    fix: `Specify one with ${candidates.map(({ driver }) => `\`--driver ${driver.name}\``).join(" or ")}`,
  });
}

/** The pipeline whose name was probably meant by this one. */
async function nearName(context: CommandContext, name: string): Promise<string | undefined> {
  const pipelines = await allPipelines(context);
  return closest(
    name,
    pipelines.map(({ pipeline }) => pipeline),
  );
}

/** Whether an argument is a pipeline's name rather than a file: it does not look like a path, and no such file exists. */
async function isName(context: CommandContext, argument: string | undefined): Promise<boolean> {
  if (argument === undefined || argument === "-" || argument.includes("/") || /\.ya?ml$/.test(argument)) return false;
  return access(resolve(context.deps.cwd, argument)).then(
    () => false,
    () => true,
  );
}

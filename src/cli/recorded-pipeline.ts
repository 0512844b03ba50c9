import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { declaredName } from "../pipeline/declared-name.ts";
import { canonicalFolder } from "../pipeline/project-folder.ts";
import type { CommandContext } from "./command.ts";
import { placeOf } from "./display/render-error.ts";
import { allPipelines, pipelinesOfFolder } from "./existing-pipelines.ts";
import { sameFor } from "./invocation.ts";
import { InvalidPipeline } from "./load.ts";

/** Names of the pipelines of which anything exists and that belong to a folder. */
export async function pipelinesOf(context: CommandContext, folder: string): Promise<readonly string[]> {
  const mine = canonicalFolder(folder);
  const here = await pipelinesOfFolder(await allPipelines(context), (other) => other === mine, context.signal);
  return [...new Set(here.map(({ pipeline }) => pipeline))];
}

/** A pipeline that is recorded for a folder. */
export interface RecordedPipeline {
  readonly name: string;
  /** Absolute, without symbolic links. */
  readonly folder: string;
}

/**
 * The pipeline that files with mistakes are of, for a command that needs no more than that: the recorded one of their folder that `-p` or
 * the files name. A command that only looks (`changes` is false) goes by the only one of the folder where it cannot be told what the
 * files say. Warns that it goes by that. Rejects with all mistakes, and the command that names the pipeline, in every other case: what was
 * not named must not be changed.
 */
export async function recordedPipeline(
  context: CommandContext,
  files: readonly string[],
  invalid: InvalidPipeline,
  changes: boolean,
): Promise<RecordedPipeline> {
  const { deps, settings, output, invocation, errorView } = context;
  const paths = files.map((path) => (path === "-" ? path : resolve(deps.cwd, path)));
  const [first = "-"] = paths;
  const folder = first === "-" ? deps.cwd : dirname(first);
  // A file that is not there was perhaps typed wrongly: it says nothing of any pipeline.
  const areThere = paths.every((path) => path === "-" || existsSync(path));
  const here = areThere ? await pipelinesOf(context, folder) : [];
  const said = settings.name ?? (await declaredInFiles(context, paths, folder, invalid));
  const name = said === undefined && !changes && here.length === 1 ? here[0] : here.find((one) => one === said);
  if (name === undefined) {
    const names = here.length === 0 ? ["NAME"] : here;
    const ways = names.map((one) => `\`${sameFor(one, invocation)}\``).join(" or ");
    throw new InvalidPipeline(invalid.problems, invalid.texts, `Fix it, or specify the pipeline: ${ways}`);
  }
  const { position } = invalid;
  const mistake = invalid.problems.find(({ severity }) => severity === "error");
  const place = position === undefined ? "" : `${placeOf(position, errorView.cwd)}: `;
  output.warn(
    `the pipeline file is invalid (${place}${mistake?.message ?? invalid.message}); using ${name}, the pipeline recorded for its folder`,
    "`flowctl validate` shows all mistakes",
  );
  return { name, folder: canonicalFolder(folder) };
}

function declaredInFiles(
  { deps, settings }: CommandContext,
  files: readonly string[],
  directory: string,
  { texts }: InvalidPipeline,
): Promise<string | undefined> {
  const envFile = settings.envFile === undefined ? undefined : resolve(deps.cwd, settings.envFile);
  return declaredName({ files, directory, env: deps.env, envFile }, texts);
}

import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { canonicalFolder } from "../pipeline/project-folder.ts";
import { nameFromFolder } from "../pipeline/resolve/resolve-pipeline.ts";
import type { CommandContext } from "./command.ts";
import { placeOf } from "./display/render-error.ts";
import { allPipelines, ofFolder } from "./holdings.ts";
import { sameFor } from "./invocation.ts";
import { InvalidPipeline } from "./load.ts";

/** Names of the pipelines of which anything exists and that belong to a folder. */
export async function pipelinesOf(context: CommandContext, folder: string): Promise<readonly string[]> {
  const mine = canonicalFolder(folder);
  const here = await ofFolder(await allPipelines(context), (other) => other === mine, context.signal);
  return [...new Set(here.map(({ pipeline }) => pipeline))];
}

/**
 * The name of the pipeline that files with mistakes are of, for a command that needs no more than that: the recorded one of their
 * folder that `-p` or the file names, or the only one where what the file says cannot be told. Warns that it goes by that. Rejects with all
 * mistakes, and how the pipeline is named, when there is none, or nothing says which: what was not meant must not be changed.
 */
export async function recordedPipeline(
  context: CommandContext,
  files: readonly string[],
  invalid: InvalidPipeline,
): Promise<string> {
  const { deps, settings, output, invocation, errorView } = context;
  const paths = files.map((path) => (path === "-" ? path : resolve(deps.cwd, path)));
  const [first = "-"] = paths;
  const folder = first === "-" ? deps.cwd : dirname(first);
  // A file that is not there was perhaps typed wrongly: it says nothing of any pipeline.
  const areThere = paths.every((path) => path === "-" || existsSync(path));
  const here = areThere ? await pipelinesOf(context, folder) : [];
  const said = settings.name ?? saidName(paths, invalid, folder);
  const name = said === undefined && here.length === 1 ? here[0] : here.find((one) => one === said);
  if (name === undefined) {
    const names = here.length === 0 ? ["NAME"] : here;
    const ways = names.map((one) => `\`${sameFor(one, invocation)}\``).join(" or ");
    throw new InvalidPipeline(invalid.problems, invalid.texts, `Correct it, or say which pipeline is meant: ${ways}`);
  }
  const { position } = invalid;
  const mistake = invalid.problems.find(({ severity }) => severity === "error");
  const place = position === undefined ? "" : `${placeOf(position, errorView.cwd)}: `;
  output.warn(
    `the pipeline file has mistakes (${place}${mistake?.message ?? invalid.message}); this is about ${name}, as recorded for its folder`,
    "`flowctl validate` shows all mistakes",
  );
  return name;
}

/** The name that files say, the last one first; undefined where that cannot be told. */
function saidName(paths: readonly string[], { texts }: InvalidPipeline, folder: string): string | undefined {
  for (const path of paths.toReversed()) {
    const text = texts.get(path === "-" ? "<stdin>" : path);
    if (text === undefined) return undefined;
    const line = /^(?:name|"name"|'name')[ \t]*:(.*)$/m.exec(text)?.[1];
    if (line === undefined) continue;
    return /^[ \t]*(["']?)([a-z0-9][a-z0-9_-]*)\1[ \t\r]*(?:#.*)?$/.exec(line)?.[2];
  }
  // Without a name it has that of its folder, where it is a pipeline at all, and no other file may say another one.
  const all = paths.map((path) => texts.get(path === "-" ? "<stdin>" : path)).join("\n");
  return /^(?:sources|sinks)\b/m.test(all) && !/^include\b/m.test(all) ? nameFromFolder(folder) : undefined;
}

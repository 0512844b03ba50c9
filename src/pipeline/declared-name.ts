import { dirname, resolve } from "node:path";
import type { Node, Pair } from "yaml";
import { isMap, isScalar, parseDocument } from "yaml";
import type { LoadOptions } from "./load-pipeline.ts";
import { ProblemList } from "./problem.ts";
import { nameFromFolder } from "./resolve/resolve-pipeline.ts";
import { interpolate } from "./source/interpolate.ts";
import { nestingOf } from "./source/nesting.ts";
import { readEnvironment } from "./source/read-environment.ts";

const maximumDepth = 100;

/** What one text says: a name as it is written, that it leaves the name to others (`""`), or nothing for certain. */
type Declaration = { readonly written: string; readonly isPipeline: boolean } | undefined;

/**
 * The name of the pipeline that files with mistakes are of, where they leave no doubt of it: each is read as far as YAML goes, and the
 * last that has a `name` has exactly one, at the top, whose variables are known; or none has one, all are YAML without a mistake,
 * and one has sources or sinks: then it is the name of the folder. Undefined in every other case. It may be no valid name.
 */
export async function declaredName(
  { files, directory, env, envFile }: Pick<LoadOptions, "files" | "directory" | "env" | "envFile">,
  texts: ReadonlyMap<string, string>,
): Promise<string | undefined> {
  const [first = "-"] = files;
  const folder = resolve(directory ?? (first === "-" ? "." : dirname(first)));
  let isPipeline = false;
  for (const path of files.toReversed()) {
    const text = texts.get(path === "-" ? "<stdin>" : resolve(path));
    const said = text === undefined ? undefined : declaredIn(text.replace(/^\ufeff/, ""));
    if (said === undefined) return undefined;
    if (said.written !== "") return filledIn(said.written, folder, env, envFile);
    isPipeline ||= said.isPipeline;
  }
  return isPipeline ? nameFromFolder(folder) : undefined;
}

function declaredIn(text: string): Declaration {
  if (nestingOf(text).depth > maximumDepth) return undefined;
  const { contents, errors } = parseDocument<Node, true>(text, {
    merge: false,
    prettyErrors: false,
    uniqueKeys: false,
    logLevel: "error",
  });
  if (!isMap(contents)) return undefined;
  const pairs = contents.items as readonly Pair<Node, Node | null>[];
  const keys = pairs.map(({ key }) => (isScalar(key) ? key.value : undefined));
  const names = pairs.filter((_, at) => keys[at] === "name");
  const isWhole = errors.length === 0;
  const [name] = names;
  if (name === undefined) {
    // A mistake may hide it, and so may a key that only an alias or an anchor tells.
    if (!isWhole || keys.some((key) => key === undefined || key === "<<")) return undefined;
    return { written: "", isPipeline: keys.includes("sources") || keys.includes("sinks") };
  }
  const { key, value } = name;
  if (names.length > 1 || !isScalar(value) || value.tag?.startsWith("!") || typeof value.value !== "string") {
    return undefined;
  }
  const isCertain = isWhole || (contents.flow !== true && !saysMore(text, key.range?.[0] ?? 0));
  return isCertain && value.value !== "" ? { written: value.value, isPipeline: true } : undefined;
}

/** Whether a mistake may have kept a further name from being read as one: a line begins so, no deeper than the one at `start`. */
function saysMore(text: string, start: number): boolean {
  const indent = start - (text.lastIndexOf("\n", start - 1) + 1);
  const lines = text.match(
    new RegExp(`^(?: {0,${indent}}|[ ]*\\t\\s*)(?:[?{] *)?(?:name|"name"|'name')[ \\t]*:`, "gm"),
  );
  return (lines ?? []).length !== 1;
}

async function filledIn(
  written: string,
  folder: string,
  env: LoadOptions["env"],
  envFile: string | undefined,
): Promise<string | undefined> {
  if (!written.includes("$")) return written;
  const problems = new ProblemList();
  const given = new Map(Object.entries(env).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])));
  const reading = { problems, files: new Map(), looked: new Set<string>(), signal: undefined, stdin: undefined };
  const envFiles = envFile === undefined ? undefined : [resolve(envFile)];
  const variables = await readEnvironment(given, folder, envFiles, reading);
  const { value, findings } = interpolate(written, (name) => variables.get(name));
  return problems.hasErrors || findings.length > 0 ? undefined : value;
}

import { access, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { FlowctlError } from "../foundation/errors.ts";
import type { LoadResult } from "../pipeline/load-pipeline.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";
import type { Problem } from "../pipeline/problem.ts";
import type { CommandContext } from "./command.ts";
import { problemReport } from "./display/problem-report.ts";
import { findPipelineFiles } from "./find-pipeline-files.ts";
import { looksLikeFile } from "./invocation.ts";

/** The error of a pipeline file with mistakes: it carries all of them, and the texts that they quote. */
export class InvalidPipeline extends FlowctlError {
  readonly problems: readonly Problem[];
  readonly texts: ReadonlyMap<string, string>;

  /** `fix`: what to do besides what is said of each mistake. */
  constructor(problems: readonly Problem[], texts: ReadonlyMap<string, string>, fix?: string) {
    const errors = problems.filter(({ severity }) => severity === "error");
    const first = errors[0];
    super({
      code: "cli/invalid-pipeline",
      kind: "invalid",
      message: `${errors.length} ${errors.length === 1 ? "mistake" : "mistakes"} in the pipeline file`,
      ...(first === undefined ? {} : { position: first.position }),
      ...(fix === undefined ? {} : { fix }),
    });
    this.problems = problems;
    this.texts = texts;
  }
}

type ValidPipeline = Extract<LoadResult, { ok: true }>;

/**
 * Loads the pipeline that arguments, flags and environment name (arguments first, then flags over them), or the one found from the working directory up, with other
 * numbers of instances than the file says where `replicas` has them.
 */
export async function load(
  context: CommandContext,
  files: readonly string[] = [],
  replicas: Readonly<Record<string, number>> = {},
): Promise<LoadResult> {
  const { deps, settings, signal } = context;
  const { loadPipeline } = await import("../pipeline/load-pipeline.ts");
  const over = settings.filesAreFlags ? settings.files.filter((file) => !files.includes(file)) : [];
  const named = files.length > 0 ? [...files, ...over] : settings.files;
  if (files.length > 0) await refuseComponents(context, files);
  const paths = named.length > 0 ? named : await findPipelineFiles(deps.cwd);
  return loadPipeline({
    files: paths.map((path) => (path === "-" ? path : resolve(deps.cwd, path))),
    ...(paths.length === 0 ? { directory: deps.cwd } : {}),
    env: deps.env,
    profiles: settings.profiles,
    envFile: settings.envFile === undefined ? undefined : resolve(deps.cwd, settings.envFile),
    catalog: await deps.catalog(),
    driver: settings.driver,
    name: settings.name,
    replicas,
    stdin: paths.includes("-") ? await deps.readStdin() : undefined,
    signal,
  });
}

/** The same, for commands that need a valid one: shows warnings, rejects with InvalidPipeline. */
export async function loadValid(context: CommandContext, files: readonly string[] = []): Promise<Pipeline> {
  return (await loadWithPlaces(context, files)).pipeline;
}

/** The same, with where in the files everything is written. `onLook` is told which files were read or looked for, valid or not. */
export async function loadWithPlaces(
  context: CommandContext,
  files: readonly string[] = [],
  replicas: Readonly<Record<string, number>> = {},
  onLook: (paths: readonly string[]) => void = () => undefined,
): Promise<ValidPipeline> {
  const loaded = await load(context, files, replicas);
  onLook(loaded.looked);
  if (!loaded.ok) throw new InvalidPipeline(loaded.problems, loaded.texts);
  if (loaded.warnings.length > 0) {
    context.output.say(problemReport(loaded.warnings, loaded.texts, context.errorView));
  }
  return loaded;
}

/** An error that says which value of the pipeline file it is about, with where that is written. */
export function withPlace(error: unknown, positionOf: ValidPipeline["positionOf"]): unknown {
  if (!(error instanceof FlowctlError) || error.path === undefined || error.position !== undefined) return error;
  const { code, kind, message, path, fix, cause } = error;
  const position = positionOf(path);
  return new FlowctlError({ code, kind, message, path, position, ...(fix === undefined ? {} : { fix }), cause });
}

/** Rejects with `cli/component-not-file` for an argument that names no file, but a component of the pipeline here. */
async function refuseComponents(context: CommandContext, files: readonly string[]): Promise<void> {
  const { cwd } = context.deps;
  const missing = files.filter((file) => file !== "-" && !looksLikeFile(file, cwd));
  if (missing.length === 0) return;
  const loaded = await load(context, await findPipelineFiles(cwd));
  const id =
    loaded.ok &&
    missing.find((word) => [...loaded.pipeline.components, ...loaded.pipeline.services].some((one) => one.id === word));
  if (!id) return;
  const one = `-p ${loaded.pipeline.name} ${id}`;
  throw new FlowctlError({
    code: "cli/component-not-file",
    kind: "usage",
    message: `${id} is part of ${loaded.pipeline.name}, and this command takes files`,
    fix: `Leave it out: the file is applied as a whole. For one part: \`flowctl start ${one}\`, \`flowctl restart ${one}\` or \`flowctl scale ${one}=2\``,
  });
}

/** The environment with the variables of the pipeline's `.env` file below it, as interpolation sees it. */
export async function withEnvFile(
  context: CommandContext,
  pipeline: Pick<Pipeline, "directory">,
): Promise<Readonly<Record<string, string | undefined>>> {
  const { deps, settings } = context;
  const path = settings.envFile === undefined ? join(pipeline.directory, ".env") : resolve(deps.cwd, settings.envFile);
  const there = await access(path).then(
    () => true,
    () => false,
  );
  if (!there) return deps.env;
  const { parseEnvFile } = await import("../pipeline/source/env-file.ts");
  const { variables } = parseEnvFile(await readFile(path, "utf8"), (name) => deps.env[name]);
  return { ...Object.fromEntries(variables), ...deps.env };
}

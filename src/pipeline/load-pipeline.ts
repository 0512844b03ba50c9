import { access } from "node:fs/promises";
import { dirname, join, parse, resolve } from "node:path";
import type { SourcePosition } from "../foundation/errors.ts";
import type { BuiltinCatalog } from "./catalog.ts";
import { lint } from "./lint/lint.ts";
import type { DriverName, Pipeline } from "./pipeline.ts";
import type { Problem } from "./problem.ts";
import { ProblemList } from "./problem.ts";
import { envFilesOf } from "./resolve/resolve-environment.ts";
import { resolvePipeline } from "./resolve/resolve-pipeline.ts";
import type { Scope } from "./resolve/scope.ts";
import { checkStructure } from "./schema/check-structure.ts";
import type { PipelineFile } from "./schema/pipeline-file.ts";
import { readEnvironment } from "./source/read-environment.ts";
import { readFiles } from "./source/read-files.ts";
import { readSource } from "./source/read-source.ts";
import type { Reading } from "./source/reading.ts";
import type { SourceFile } from "./source/source-file.ts";
import { positionOf, sourceFile, startOf } from "./source/source-file.ts";
import type { MapNode } from "./source/source-node.ts";
import { valuePlace } from "./source/source-node.ts";

export interface LoadOptions {
  /** Pipeline files, each merged over those before it. Relative ones start from the working directory; `-` is `stdin`. */
  readonly files: readonly string[];
  /** Folder that relative paths in the files start from. Default: that of the first file. */
  readonly directory?: string | undefined;
  /** The environment of the process. It wins over the `.env` file. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Active profiles; `*` is every one. */
  readonly profiles?: readonly string[] | undefined;
  /** Instead of `.env` in `directory`; has to exist. */
  readonly envFile?: string | undefined;
  readonly catalog: BuiltinCatalog;
  /** Wins over `driver` in the file. */
  readonly driver?: DriverName | undefined;
  /** Wins over `name` in the file. */
  readonly name?: string | undefined;
  /** Numbers of instances by component id; they win over `deploy.replicas` in the file. */
  readonly replicas?: Readonly<Record<string, number>> | undefined;
  /** Content of the file `-`. */
  readonly stdin?: string | Uint8Array | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A pipeline, or every mistake that was found. */
export type LoadResult =
  | {
      readonly ok: true;
      readonly pipeline: Pipeline;
      /** All of severity `warning`. */
      readonly warnings: readonly Problem[];
      /** Text of every file that was read, by path: what `renderProblems` quotes from. */
      readonly texts: ReadonlyMap<string, string>;
      /** Absolute paths of every file that was read or looked for: pipeline files, env files. */
      readonly looked: readonly string[];
      /** Where the value is written that a path such as `sinks.archive.command` names, or the nearest around it. */
      positionOf(path: string): SourcePosition;
    }
  | {
      readonly ok: false;
      /** Errors, at least one, and warnings, by file, line and column. */
      readonly problems: readonly Problem[];
      readonly texts: ReadonlyMap<string, string>;
      readonly looked: readonly string[];
    };

/**
 * Reads pipeline files and checks everything that can be known without running them. Whatever the files hold, the
 * answer is a valid pipeline or a report of all mistakes; it rejects only when `signal` is aborted.
 */
export async function loadPipeline(options: LoadOptions): Promise<LoadResult> {
  const problems = new ProblemList();
  const reading: Reading = {
    problems,
    files: new Map(),
    looked: new Set(),
    signal: options.signal,
    stdin: options.stdin,
  };
  const paths = options.files.map((path) => (path === "-" ? path : resolve(path)));
  const first = paths[0];
  const directory = resolve(options.directory ?? (first === undefined || first === "-" ? "." : dirname(first)));
  for (const path of paths) problems.order(path === "-" ? "<stdin>" : path);
  const loaded = await load(options, paths, directory, reading);
  options.signal?.throwIfAborted();
  const texts = new Map([...reading.files.values()].map((file) => [file.path, file.text]));
  const found = problems.sorted();
  const looked = [...reading.looked];
  if (loaded === undefined || problems.hasErrors) return { ok: false, problems: found, texts, looked };
  const { pipeline, root } = loaded;
  return {
    ok: true,
    pipeline,
    warnings: found,
    texts,
    looked,
    positionOf: (path) => positionOf(valuePlace(root, path.split("."))),
  };
}

/**
 * The pipeline files in a folder: flowctl.yaml, flowctl.yml, pipeline.yaml or pipeline.yml, the first there is, and the file beside
 * it that is laid over it, such as flowctl.override.yaml. Empty where there is none.
 */
export async function discoverPipelineFiles(directory: string): Promise<readonly string[]> {
  for (const stem of ["flowctl", "pipeline"]) {
    const [file] = await existing([join(directory, `${stem}.yaml`), join(directory, `${stem}.yml`)]);
    if (file !== undefined) return withOverride(file);
  }
  return [];
}

/** A discovered pipeline file, and the file that is laid over it, where there is one now. */
export async function withOverride(file: string): Promise<readonly string[]> {
  const [override] = await existing(overridePaths(file));
  return override === undefined ? [file] : [file, override];
}

/** Where the file may be that is laid over a discovered pipeline file; the first that exists is. */
export function overridePaths(file: string): readonly string[] {
  const { dir, name } = parse(file);
  return [join(dir, `${name}.override.yaml`), join(dir, `${name}.override.yml`)];
}

/** Those of these files that exist. */
async function existing(paths: readonly string[]): Promise<readonly string[]> {
  const found = await Promise.all(
    paths.map((path) =>
      access(path).then(
        () => true,
        () => false,
      ),
    ),
  );
  return paths.filter((_, i) => found[i]);
}

async function load(
  options: LoadOptions,
  paths: readonly string[],
  directory: string,
  reading: Reading,
): Promise<{ readonly pipeline: Pipeline; readonly root: MapNode } | undefined> {
  const { problems } = reading;
  if (paths.length === 0) {
    problems.add(startOf(sourceFile(join(directory, "flowctl.yaml"), directory, "")), {
      code: "pipeline/file-missing",
      message: `No pipeline file in ${directory}`,
      fix: "Specify one with `-f`, or create one with `flowctl init`.",
    });
    return undefined;
  }
  const processEnv = new Map<string, string>();
  for (const [key, value] of Object.entries(options.env)) if (value !== undefined) processEnv.set(key, value);
  const envFiles = options.envFile === undefined ? undefined : [resolve(options.envFile)];
  const env = await readEnvironment(processEnv, directory, envFiles, reading);
  const root = await readFiles({ paths, directory, env, chain: [] }, reading);
  if (root === undefined) return undefined;
  const structure = checkStructure(root, problems);
  if (structure === undefined) return undefined;
  const scope: Scope = {
    root,
    file: structure.file,
    env,
    problems,
    tainted: structure.tainted,
    envFiles: await readEnvFiles(root, structure.file, env, reading),
  };
  const resolved = await resolvePipeline(scope, {
    directory,
    files: [...reading.files.keys()],
    profiles: options.profiles ?? [],
    catalog: options.catalog,
    driver: options.driver,
    name: options.name,
    replicas: options.replicas ?? {},
  });
  await lint(scope, resolved, { catalog: options.catalog, name: options.name });
  return { pipeline: resolved.pipeline, root };
}

async function readEnvFiles(
  root: MapNode,
  file: PipelineFile,
  env: ReadonlyMap<string, string>,
  reading: Reading,
): Promise<ReadonlyMap<string, SourceFile>> {
  const result = new Map<string, SourceFile>();
  for (const section of ["sources", "processors", "sinks", "services"] as const) {
    for (const [id, item] of Object.entries(file[section] ?? {})) {
      for (const envFile of envFilesOf({ root, env }, [section, id], item)) {
        reading.looked.add(envFile.path);
        const missing = !envFile.required && (await access(envFile.path).catch(() => true)) === true;
        if (result.has(envFile.path) || missing) continue;
        const source = await readSource(envFile.path, dirname(envFile.path), reading.problems, {
          mention: valuePlace(root, envFile.at),
          signal: reading.signal,
        });
        if (source !== undefined) result.set(envFile.path, source);
      }
    }
  }
  return result;
}

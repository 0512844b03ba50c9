import { isAbsolute, resolve } from "node:path";
import type { Finding, KeyPath, ProblemList } from "../problem.ts";
import type { PipelineFile } from "../schema/pipeline-file.ts";
import type { Place, SourceFile } from "../source/source-file.ts";
import type { MapNode } from "../source/source-node.ts";
import { keyPlace, valuePlace } from "../source/source-node.ts";

/** A merged file that passed the schema, with everything that is needed to resolve it and to say where its mistakes are. */
export interface Scope {
  readonly root: MapNode;
  readonly file: PipelineFile;
  /** The environment with the `.env` file. */
  readonly env: ReadonlyMap<string, string>;
  readonly problems: ProblemList;
  /** Each env_file that could be read, by absolute path. */
  readonly envFiles: ReadonlyMap<string, SourceFile>;
  tainted(path: KeyPath): boolean;
}

/** Reports at the value of `path`. */
export function reportAt(scope: Scope, path: KeyPath, finding: Omit<Finding, "path">): void {
  scope.problems.add(valuePlace(scope.root, path), { ...finding, path });
}

/** Reports at the key of `path`. */
export function reportAtKey(scope: Scope, path: KeyPath, finding: Omit<Finding, "path">): void {
  scope.problems.add(keyPlace(scope.root, path), { ...finding, path });
}

/** The absolute form of a path that is written at `at`: relative ones start from the folder of the file they are in. */
export function absolutePath(scope: Pick<Scope, "root" | "env">, at: KeyPath, path: string): string {
  const place: Place = valuePlace(scope.root, at);
  const home = scope.env.get("HOME");
  if (home !== undefined && isAbsolute(home) && (path === "~" || path.startsWith("~/")))
    return resolve(home, path.slice(2));
  return resolve(place.file.directory, path);
}

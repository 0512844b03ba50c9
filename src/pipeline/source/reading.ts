import type { ProblemList } from "../problem.ts";
import type { Place, SourceFile } from "./source-file.ts";

/** What one load keeps at hand while it reads files. */
export interface Reading {
  readonly problems: ProblemList;
  /** Every file that was read, by path. */
  readonly files: Map<string, SourceFile>;
  /** Absolute paths of what was read or looked for. */
  readonly looked: Set<string>;
  readonly signal: AbortSignal | undefined;
  /** The content of the file `-`. */
  readonly stdin: string | Uint8Array | undefined;
}

/** One pipeline, or one included part of one: files laid over each other in one folder with one environment. */
export interface FileSet {
  /** Absolute paths, or `-`. */
  readonly paths: readonly string[];
  readonly directory: string;
  readonly env: ReadonlyMap<string, string>;
  /** Where the files are named, when another file names them. */
  readonly mention?: Place | undefined;
  /** Paths of the files that include this one, outermost first. */
  readonly chain: readonly string[];
}

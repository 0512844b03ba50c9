import { type ErrorKind, FlowctlError, messageOf } from "./errors.ts";

export interface FileFailureOptions {
  /** Code of the error. */
  readonly code: string;
  readonly doing: "read" | "write";
  /** What was to be read or written: a file, or a folder. */
  readonly path: string;
}

/**
 * Names the path and what to do in what the file system said. Returns `error` itself when it is a FlowctlError: whoever
 * made that knew more.
 */
export function fileFailure(error: unknown, { code, doing, path }: FileFailureOptions): FlowctlError {
  if (error instanceof FlowctlError) return error;
  const errno = error instanceof Error && "code" in error ? String(error.code) : "";
  const [kind, fix] = explain(errno, doing, path);
  return new FlowctlError({
    code,
    kind,
    message: `cannot ${doing} ${path}: ${messageOf(error)}`,
    ...(fix === undefined ? {} : { fix }),
    cause: error,
  });
}

function explain(errno: string, doing: "read" | "write", path: string): readonly [ErrorKind, string | undefined] {
  switch (errno) {
    case "ENOENT":
      return [
        "not-found",
        doing === "read"
          ? "check `path`: it is relative to the pipeline file"
          : `make the folder that ${path} is in, or name another path`,
      ];
    case "EACCES":
    case "EPERM":
      return ["denied", `let the user that the component runs as${userId()} ${doing} ${path}`];
    case "EISDIR":
      return ["invalid", "name a file, not a folder"];
    case "ENOTDIR":
    case "EEXIST":
      return ["invalid", `a part of ${path} that should be a folder is a file: name another path`];
    case "EROFS":
      return [
        "denied",
        `${path} is on a file system that is mounted read-only: name another path, or mount it writable`,
      ];
    case "ENOSPC":
      return ["unavailable", `free space where ${path} is, or name a path on another disk; nothing is lost meanwhile`];
    case "EDQUOT":
      return ["unavailable", `the quota where ${path} is is used up: free space, raise it, or name another path`];
    case "EFBIG":
      return [
        "unavailable",
        `${path} has reached the largest size that is allowed: raise the limit (ulimit -f), or name another path`,
      ];
    default:
      return ["unavailable", undefined];
  }
}

function userId(): string {
  const id = process.getuid?.();
  return id === undefined ? "" : ` (uid ${id})`;
}

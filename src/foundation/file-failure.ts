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
          : `create the folder of ${path}, or use another path`,
      ];
    case "EACCES":
    case "EPERM":
      return ["denied", `give the user of the component${userId()} permission to ${doing} ${path}`];
    case "EISDIR":
      return ["invalid", "use the path of a file, not of a folder"];
    case "ENOTDIR":
    case "EEXIST":
      return ["invalid", `a parent of ${path} is not a folder: use another path`];
    case "EROFS":
      return ["denied", `the file system of ${path} is mounted read-only: mount it writable, or use another path`];
    case "ENOSPC":
      return [
        "unavailable",
        `free disk space for ${path}, or use a path on another disk; no events are lost meanwhile`,
      ];
    case "EDQUOT":
      return [
        "unavailable",
        `the disk quota for ${path} is exceeded: free space, raise the quota, or use another path`,
      ];
    case "EFBIG":
      return [
        "unavailable",
        `${path} has reached the file size limit: raise the limit (ulimit -f), or use another path`,
      ];
    default:
      return ["unavailable", undefined];
  }
}

function userId(): string {
  const id = process.getuid?.();
  return id === undefined ? "" : ` (uid ${id})`;
}

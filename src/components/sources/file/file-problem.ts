import { FlowctlError, messageOf } from "../../../foundation/errors.ts";

const fixes: Readonly<Record<string, string>> = {
  ENOENT: "check `path`: it is relative to the pipeline file",
  EACCES: "let the user that runs the component read it",
  EISDIR: "name a file, not a folder",
};

/** Wraps what the file system said. */
export function fileProblem(path: string, error: unknown): FlowctlError {
  if (error instanceof FlowctlError) return error;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const fix = fixes[code];
  return new FlowctlError({
    code: "components/file-unreadable",
    kind: code === "ENOENT" ? "not-found" : code === "EACCES" ? "denied" : "unavailable",
    message: `cannot read ${path}: ${messageOf(error)}`,
    ...(fix === undefined ? {} : { fix }),
    cause: error,
  });
}

import type { FlowctlError } from "../../../foundation/errors.ts";
import { fileFailure } from "../../../foundation/file-failure.ts";

/** Wraps what the file system said. */
export function fileProblem(path: string, error: unknown): FlowctlError {
  return fileFailure(error, { code: "components/file-unreadable", doing: "read", path });
}

import { FlowctlError } from "../foundation/errors.ts";

/** The error for a change from `folder` of a pipeline that belongs to `owner`. */
export function otherFolder(pipeline: string, owner: string, folder: string): FlowctlError {
  return new FlowctlError({
    code: "driver/other-folder",
    kind: "conflict",
    message: `The pipeline ${pipeline} belongs to ${owner}, not to ${folder}`,
    fix: `Use another name with -p, or remove the existing pipeline with \`flowctl down -p ${pipeline}\``,
  });
}

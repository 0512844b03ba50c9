import { resolve } from "node:path";
import type { GrantedAccess } from "../../client/access-file.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import type { CliDependencies } from "../dependencies.ts";
import type { Output } from "../display/output.ts";
import { readPrivateFile } from "../private-file.ts";
import type { Settings } from "../settings.ts";

/** Longer than any access file. */
const MOST_BYTES = 64 * 1024;

/**
 * The access that `--access` or FLOWCTL_ACCESS names; undefined where neither does. Warns where others can read the file. Rejects with
 * `access/unreadable-file` and `access/damaged-file`.
 */
export async function readAccess(
  { cwd }: Pick<CliDependencies, "cwd">,
  { access }: Pick<Settings, "access">,
  output: Pick<Output, "warn">,
): Promise<GrantedAccess | undefined> {
  if (access === undefined) return undefined;
  const path = resolve(cwd, access);
  const content = await read(path, output);
  const { parseAccess } = await import("../../client/access-file.ts");
  return parseAccess(content, path);
}

async function read(path: string, output: Pick<Output, "warn">): Promise<string> {
  try {
    return await readPrivateFile(path, output, MOST_BYTES);
  } catch (error) {
    throw FlowctlError.wrap(error, {
      code: "access/unreadable-file",
      kind: "invalid",
      message: `Cannot read the access file ${path}`,
      fix: "Name the file that `flowctl access grant NAME` wrote with --access or FLOWCTL_ACCESS, or unset that",
    });
  }
}

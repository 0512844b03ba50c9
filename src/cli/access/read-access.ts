import { open } from "node:fs/promises";
import { resolve } from "node:path";
import type { GrantedAccess } from "../../client/access-file.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import type { CliDependencies } from "../dependencies.ts";
import type { Output } from "../display/output.ts";
import type { Settings } from "../settings.ts";

/** Who but the owner can read or write a file, by its mode. */
const OTHERS = 0o077;

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
  const { content, mode } = await read(path);
  if ((mode & OTHERS) !== 0)
    output.warn(`${path} can be read by other users of this machine`, `Run \`chmod 600 ${path}\``);
  const { parseAccess } = await import("../../client/access-file.ts");
  return parseAccess(content, path);
}

async function read(path: string): Promise<{ readonly content: string; readonly mode: number }> {
  try {
    const file = await open(path, "r");
    try {
      const { mode, size } = await file.stat();
      return { content: size > MOST_BYTES ? "" : await file.readFile("utf8"), mode };
    } finally {
      await file.close();
    }
  } catch (error) {
    throw FlowctlError.wrap(error, {
      code: "access/unreadable-file",
      kind: "invalid",
      message: `Cannot read the access file ${path}`,
      fix: "Name the file that `flowctl access grant NAME` wrote with --access or FLOWCTL_ACCESS, or unset that",
    });
  }
}

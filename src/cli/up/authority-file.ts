import { resolve } from "node:path";
import type { Deployment } from "../../drivers/driver.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import type { CommandContext } from "../command.ts";
import { readPrivateFile } from "../private-file.ts";

/**
 * What `--authority` names. It is read anew by each `up`, and kept nowhere. Warns where others can read it. Rejects with
 * `cli/authority-insecure` and `cli/authority-file`.
 */
export async function readAuthorityFile({
  deps,
  settings,
  output,
}: Pick<CommandContext, "deps" | "settings" | "output">): Promise<Deployment["authority"]> {
  const { authority: path, insecure } = settings;
  if (path === undefined) return undefined;
  if (insecure) {
    throw new FlowctlError({
      code: "cli/authority-insecure",
      kind: "usage",
      message: "--authority signs certificates, and --insecure goes without any",
      fix: "Give one of the two",
    });
  }
  try {
    return { path, content: await readPrivateFile(resolve(deps.cwd, path), output) };
  } catch (error) {
    throw FlowctlError.wrap(error, {
      code: "cli/authority-file",
      kind: "invalid",
      message: `Cannot read the authority from ${path}`,
      fix: "Give the file with --authority or FLOWCTL_AUTHORITY, and let your user read it",
    });
  }
}

import { type FileHandle, open, rm, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { FlowctlError } from "../../foundation/errors.ts";
import type { AccessRole } from "../../protocol/records.ts";
import type { CommandContext } from "../command.ts";
import { ControlPlaneAccess } from "../control-plane-access.ts";
import type { Target } from "../target.ts";
import { whyAway } from "../why-away.ts";

export interface NewAccess {
  readonly name: string;
  readonly role: AccessRole;
  /** Left out: one in the working directory, named after the pipeline and the name. */
  readonly file: string | undefined;
}

/**
 * Grants access and writes it to a file that is new and that only its owner can read. Resolves with its path. Where it rejects nothing was
 * granted, as far as can be told, and there is no file. Rejects with `access/cannot-write`, before anything is granted if it can, and as GrantAccess does.
 */
export async function writeAccess(
  { deps, signal }: CommandContext,
  target: Target,
  { name, role, file }: NewAccess,
): Promise<string> {
  const path = resolve(deps.cwd, file ?? `${target.name}-${name.replaceAll("/", "_")}.access.json`);
  const access = new ControlPlaneAccess(deps, target.driver, target.name);
  const handle = await create(path, name);
  try {
    const endpoint = await target.driver.controlPlane(target.name, signal);
    if (endpoint === undefined) throw access.away();
    const issued = await access.call(signal, (client, inner) => client.grantAccess(name, role, inner));
    try {
      // Only a pipeline whose control plane asks for certificates gives any.
      if (endpoint.identity === undefined) throw new Error("the control plane has no identity");
      const { formatAccess } = await import("../../client/access-file.ts");
      const { grpc, http, identity } = endpoint;
      const driver = target.driver.name;
      await handle.writeFile(formatAccess({ pipeline: target.name, driver, name, role, grpc, http }, issued, identity));
      await handle.sync();
    } catch (error) {
      // Nobody could ever use it.
      await access.call(signal, (client, inner) => client.revokeAccess(name, inner)).catch(() => undefined);
      throw cannotWrite(path, error);
    }
  } catch (error) {
    await rm(path, { force: true }).catch(() => undefined);
    throw await whyAway(error, target.driver, target.name, signal);
  } finally {
    access.close();
    await handle.close();
  }
  return path;
}

async function create(path: string, name: string): Promise<FileHandle> {
  try {
    return await open(path, "wx", 0o600);
  } catch (error) {
    const isEmpty = await stat(path).then(
      (found) => found.isFile() && found.size === 0,
      () => false,
    );
    const isThere = (error as NodeJS.ErrnoException).code === "EEXIST";
    throw cannotWrite(path, error, isEmpty ? LEFT : isThere ? grantedBefore(name) : undefined);
  }
}

const LEFT = "Remove the file, and grant access again: it is empty, as one is left by a command that was killed";

function grantedBefore(name: string): string {
  return `To grant ${name} access anew, remove the file and run \`flowctl access revoke ${name}\` first; else name another file with -o`;
}

function cannotWrite(path: string, error: unknown, fix?: string): FlowctlError {
  return FlowctlError.wrap(error, {
    code: "access/cannot-write",
    kind: "conflict",
    message: `Cannot write ${path}`,
    fix: fix ?? "Name a file that does not exist, in a folder where you can write, with -o",
  });
}

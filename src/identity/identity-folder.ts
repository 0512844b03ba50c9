import { chmod, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { FlowctlError } from "../foundation/errors.ts";
import { type Authority, createAuthority, type IssuedCertificate, identityOf, openAuthority } from "./authority.ts";
import type { InstanceName } from "./names.ts";
import { joinPem, splitPem } from "./pem.ts";
import { createPrivateFile, replacePrivateFile } from "./private-file.ts";
import { linkOf, newChain, serialOf } from "./serial.ts";
import type { TlsIdentity } from "./tls-identity.ts";

/** What is kept of the identity of a pipeline, in a folder that only its owner can read. */
export interface IdentityFolder {
  readonly authority: Authority;
  /** What the command line dials with. */
  readonly operator: TlsIdentity;
  /** A joining certificate for an instance that is about to be started. From now on no other one that it was started with before counts. */
  begin(component: string, instance: string): Promise<IssuedCertificate>;
  /** The chain that was begun last for an instance; undefined when none was. */
  started(component: string, instance: string): Promise<string | undefined>;
}

/** Names of files in the folder: each has a certificate and its key. */
export const AUTHORITY_FILE = "authority.pem";
export const OPERATOR_FILE = "operator.pem";

/** The file in the folder that says which chain of an instance was begun last, by the serial number of its first certificate. */
export function startedFile(component: string, instance: string): string {
  return `started-${component}-${instance}`;
}

/** The joining certificate of a new chain, and its serial number, which has to get into the file before an instance gets the certificate. */
export async function beginChain(
  authority: Authority,
  component: string,
  instance: string,
): Promise<{ readonly serial: string; readonly issued: IssuedCertificate }> {
  const name: InstanceName = { role: "joining", pipeline: authority.pipeline, component, instance };
  const serial = serialOf(newChain());
  return { serial, issued: await authority.issue(name, { serial }) };
}

/** Opens the folder, and makes what is missing of it. Rejects with `identity/damaged` and `identity/not-written`. */
export async function openIdentityFolder(folder: string, pipeline: string): Promise<IdentityFolder> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
  const kept = await readOrCreate(join(folder, AUTHORITY_FILE), () => createAuthority(pipeline));
  const authority = openAuthority(pipeline, kept);
  const operator = await readOrCreate(join(folder, OPERATOR_FILE), () =>
    authority.issue({ role: "operator", pipeline }),
  );
  const pathOf = (component: string, instance: string): string => join(folder, startedFile(component, instance));
  return {
    authority,
    operator: identityOf(authority, operator),
    async begin(component, instance) {
      const { serial, issued } = await beginChain(authority, component, instance);
      await replacePrivateFile(pathOf(component, instance), `${serial}\n`);
      return issued;
    },
    async started(component, instance) {
      const serial = await readIfThere(pathOf(component, instance));
      return serial === undefined ? undefined : linkOf(serial.trim())?.chain;
    },
  };
}

/** What the command line dials with, out of the folder of a pipeline that was started; undefined when there is none. */
export async function readOperator(folder: string): Promise<TlsIdentity | undefined> {
  const [authority, operator] = await Promise.all(
    [AUTHORITY_FILE, OPERATOR_FILE].map((name) => readIfThere(join(folder, name))),
  );
  if (authority === undefined || operator === undefined) return undefined;
  return identityOf(splitPem(authority), splitPem(operator));
}

async function readOrCreate(path: string, create: () => Promise<IssuedCertificate>): Promise<IssuedCertificate> {
  const there = await readIfThere(path);
  if (there !== undefined) return splitPem(there);
  await createPrivateFile(path, joinPem(await create()));
  return splitPem((await readIfThere(path)) ?? "");
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw FlowctlError.wrap(error, {
      code: "identity/unreadable",
      kind: "unavailable",
      message: `cannot read ${path}`,
      fix: "Run the command as the user who started the pipeline.",
    });
  }
}

import { chmod, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { FlowctlError, hasCode } from "../foundation/errors.ts";
import {
  type Authority,
  createAuthority,
  type IssuedCertificate,
  identityOf,
  isIssuedBy,
  openAuthority,
} from "./authority.ts";
import type { InstanceName } from "./names.ts";
import { certificatesOf, joinPem, splitPem } from "./pem.ts";
import { createPrivateFile, replacePrivateFile } from "./private-file.ts";
import { linkOf, newChain, serialOf } from "./serial.ts";
import type { TlsIdentity } from "./tls-identity.ts";

/** What is kept of the identity of a pipeline, in a folder that only its owner can read. */
export interface IdentityFolder {
  readonly authority: Authority;
  /** What the owner's command line dials with, as it was last made or read here. */
  readonly operator: TlsIdentity;
  /** The same as it is in the folder now; undefined where it is not there, or not whole. */
  readOperator(): Promise<TlsIdentity | undefined>;
  /** Makes it anew: from then on the former one is not in the folder any more. Rejects with `identity/not-written`. */
  renewOperator(): Promise<TlsIdentity>;
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

interface OpenIdentityOptions {
  /** Puts another authority in the place of one that is damaged, and is told. Left out: `identity/damaged`. */
  onDamaged?(error: FlowctlError): void;
}

/**
 * Opens the folder, and makes what is missing of it, and the operator anew where that is damaged. Rejects with `identity/damaged` and
 * `identity/not-written`.
 */
export async function openIdentityFolder(
  folder: string,
  pipeline: string,
  options: OpenIdentityOptions = {},
): Promise<IdentityFolder> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
  const authority = await openOrReplace(join(folder, AUTHORITY_FILE), pipeline, options);
  const operatorPath = join(folder, OPERATOR_FILE);
  const issue = (): Promise<IssuedCertificate> => authority.issue({ role: "operator", pipeline });
  let operator = await readOrCreate(operatorPath, issue);
  if (!isIssuedBy(authority, operator)) {
    operator = await issue();
    await replacePrivateFile(operatorPath, joinPem(operator));
  }
  const pathOf = (component: string, instance: string): string => join(folder, startedFile(component, instance));
  let current = identityOf(authority, operator);
  return {
    authority,
    get operator() {
      return current;
    },
    async readOperator() {
      const read = await readOperator(folder);
      current = read ?? current;
      return read;
    },
    async renewOperator() {
      const next = await issue();
      await replacePrivateFile(operatorPath, joinPem(next));
      current = identityOf(authority, next);
      return current;
    },
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

/** What the command line dials with, out of the folder of a pipeline that was started; undefined where that is not there, or not whole. */
export async function readOperator(folder: string): Promise<TlsIdentity | undefined> {
  const [authority, operator] = await Promise.all(
    [AUTHORITY_FILE, OPERATOR_FILE].map(async (name) => splitPem((await readIfThere(join(folder, name))) ?? "")),
  );
  if (authority === undefined || operator === undefined || !isIssuedBy(authority, operator)) return undefined;
  // Nothing above it is trusted.
  const [own = ""] = certificatesOf(authority.certificate);
  return identityOf({ certificate: own }, operator);
}

/** The authority in the folder of a pipeline; undefined where there is none, or not all of it. */
export async function readAuthority(folder: string, pipeline: string): Promise<Authority | undefined> {
  const kept = await readIfThere(join(folder, AUTHORITY_FILE));
  try {
    return kept === undefined ? undefined : openAuthority(pipeline, splitPem(kept));
  } catch (error) {
    if (hasCode(error, "identity/damaged")) return undefined;
    throw error;
  }
}

/** Puts an authority into the folder, in the place of the one that is there: nobody may be using that any more. */
export async function placeAuthority(folder: string, made: IssuedCertificate): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
  await replacePrivateFile(join(folder, AUTHORITY_FILE), joinPem(made));
}

async function openOrReplace(path: string, pipeline: string, { onDamaged }: OpenIdentityOptions): Promise<Authority> {
  const kept = await readOrCreate(path, () => createAuthority(pipeline));
  try {
    return openAuthority(pipeline, kept);
  } catch (error) {
    if (onDamaged === undefined || !(error instanceof FlowctlError) || !hasCode(error, "identity/damaged")) throw error;
    onDamaged(error);
    const next = await createAuthority(pipeline);
    await replacePrivateFile(path, joinPem(next));
    return openAuthority(pipeline, next);
  }
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

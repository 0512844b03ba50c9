import { readFile } from "node:fs/promises";
import { FlowctlError } from "../foundation/errors.ts";
import type { IssuedCertificate } from "./authority.ts";
import { joinPem, splitPem } from "./pem.ts";
import { replacePrivateFile } from "./private-file.ts";
import type { TlsIdentity } from "./tls-identity.ts";

/** Where an instance finds what it joins with, as FLOWCTL_TLS_CA, FLOWCTL_TLS_CERT and FLOWCTL_TLS_KEY name it. */
export interface JoiningFiles {
  readonly ca: string;
  readonly certificate: string;
  /** May be the same file. */
  readonly key: string;
}

/**
 * Reads the joining certificate with its key, as it is now. A key file that has a certificate in it as well has the newer pair: see
 * `replaceJoining`. Rejects with `identity/files`.
 */
export async function readJoining(files: JoiningFiles): Promise<TlsIdentity> {
  const [ca, certificate, key] = await Promise.all([read(files.ca), read(files.certificate), read(files.key)]);
  const pair = splitPem(key);
  const found = pair.certificate === "" ? splitPem(certificate).certificate : pair.certificate;
  const trusted = splitPem(ca).certificate;
  for (const [path, part] of [
    [files.ca, trusted],
    [files.certificate, found],
    [files.key, pair.key],
  ] as const) {
    if (part === "") throw unreadable(path, new Error("it has not what it should have, in PEM"));
  }
  return { ca: Buffer.from(trusted), certificate: Buffer.from(found), key: Buffer.from(pair.key) };
}

/**
 * Puts the next joining certificate with its key in the place of the one that was used. It is there when this resolves, whatever happens
 * then. Rejects with `identity/not-written`.
 */
export async function replaceJoining(files: JoiningFiles, next: IssuedCertificate): Promise<void> {
  // Two files cannot be replaced at once: both get both, and the first of them counts.
  await replacePrivateFile(files.key, joinPem(next));
  if (files.certificate !== files.key) await replacePrivateFile(files.certificate, joinPem(next));
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw unreadable(path, error);
  }
}

function unreadable(path: string, cause: unknown): FlowctlError {
  return FlowctlError.wrap(cause, {
    code: "identity/files",
    kind: "failed",
    message: `the identity of this instance cannot be read from ${path}`,
    fix: "Start the component with flowctl, or set FLOWCTL_TLS_CA, FLOWCTL_TLS_CERT and FLOWCTL_TLS_KEY as the component contract says.",
  });
}

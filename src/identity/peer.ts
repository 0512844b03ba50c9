import { X509Certificate } from "node:crypto";
import { FlowctlError } from "../foundation/errors.ts";
import { describeName, type Name, parseName } from "./names.ts";
import { type Link, linkOf } from "./serial.ts";

/** Who shows a certificate that the authority of the pipeline has made. */
export interface Peer {
  readonly name: Name;
  /** Of an instance; see `Link`. */
  readonly link: Link | undefined;
  /** The serial number of the certificate, in lower-case hexadecimal digits. */
  readonly serial: string;
  /** From when on nobody accepts the certificate, in milliseconds since 1970. */
  readonly expires: number;
}

/** What of a certificate says whose it is: as Node.js tells of peers, or of a file. */
export interface CertificateFields {
  readonly subjectaltname?: string | undefined;
  readonly serialNumber: string;
  /** As OpenSSL prints a time. */
  readonly valid_to: string;
}

/**
 * Whose certificate it is; undefined when it has not exactly one name. That an authority has made it is for TLS to check: here it is only read.
 */
export function peerOf({ subjectaltname = "", serialNumber, valid_to }: CertificateFields): Peer | undefined {
  // Node.js puts in quotes what could be mistaken for more than one entry: no certificate of ours has that.
  if (subjectaltname.includes('"')) return undefined;
  const uris = subjectaltname.split(", ").filter((entry) => entry.startsWith("URI:"));
  const [uri] = uris;
  if (uri === undefined || uris.length > 1) return undefined;
  const name = parseName(uri.slice("URI:".length));
  if (name === undefined) return undefined;
  return { name, link: linkOf(serialNumber), serial: serialNumber.toLowerCase(), expires: Date.parse(valid_to) };
}

/** The same of a certificate in PEM. */
export function peerOfPem(certificate: Buffer | string): Peer | undefined {
  const { subjectAltName, serialNumber, validTo } = new X509Certificate(certificate);
  return peerOf({ subjectaltname: subjectAltName, serialNumber, valid_to: validTo });
}

/** From when on nobody accepts a certificate in PEM, in milliseconds since 1970. */
export function expiryOf(certificate: Buffer | string): number {
  return Date.parse(new X509Certificate(certificate).validTo);
}

/** Why the certificate of whoever answered is not the one of whom was meant; undefined when it is. */
export function whyNotMeant(meant: Name, certificate: CertificateFields): FlowctlError | undefined {
  const found = peerOf(certificate)?.name;
  if (found !== undefined && isSame(found, meant)) return undefined;
  const who = found === undefined ? "somebody whose certificate has no name" : describeName(found);
  return new FlowctlError({
    code: "identity/wrong-peer",
    kind: "unavailable",
    message: `${who} answered in the place of ${describeName(meant)}`,
    fix: "Look up the address again: another program uses it now.",
  });
}

/** Whether both are the same name. */
export function isSame(one: Name, other: Name): boolean {
  if (one.role !== other.role || one.pipeline !== other.pipeline) return false;
  if (!("instance" in one) || !("instance" in other)) return !("instance" in one) && !("instance" in other);
  return one.component === other.component && one.instance === other.instance;
}

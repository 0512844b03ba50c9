import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { FlowctlError } from "../foundation/errors.ts";
import { readValues } from "./der.ts";
import { certificatesOf, splitPem } from "./pem.ts";

/** An authority that somebody has, which signs that of a pipeline. It stays with whoever has it: nothing keeps its key. */
export interface GivenAuthority {
  /** Its certificate and what leads from there upwards, in PEM, lowest first. */
  readonly chain: readonly string[];
  readonly key: KeyObject;
  /** Whose name certificates are signed in, encoded. */
  readonly name: Uint8Array;
  /** How its certificate calls its key. */
  readonly keyId: Uint8Array;
  readonly begins: Date;
  /** When the first certificate of the chain expires. */
  readonly expires: Date;
}

const EXTENSION = {
  basicConstraints: "551d13",
  keyUsage: "551d0f",
  keyId: "551d0e",
  nameConstraints: "551d1e",
} as const;
/** Kinds of names that our certificates have, as they are tagged in name constraints. */
const NAME = { dns: 2, directory: 4, uri: 6 } as const;
const SMALLEST_RSA_BITS = 2048;

/**
 * An authority out of a file: its certificate, what leads from there to what others trust, and its key, in PEM. Throws, each with the place and
 * a fix, `authority/incomplete`, `authority/key-mismatch`, `authority/key-type`, `authority/not-an-authority`, `authority/broken-chain`,
 * `authority/not-valid`, `authority/path-length` and `authority/name-constraints`.
 *
 * @param content of the file
 * @param path how the file is called in messages
 */
export function readGivenAuthority(content: string, path: string, pipeline: string, now: number): GivenAuthority {
  try {
    return read(content, path, pipeline, now);
  } catch (error) {
    throw FlowctlError.wrap(error, {
      code: "authority/incomplete",
      kind: "invalid",
      message: `${path}: a certificate in it is damaged`,
      fix: "Have it made again.",
    });
  }
}

function read(content: string, path: string, pipeline: string, now: number): GivenAuthority {
  const { key: keyText } = splitPem(content);
  // As other systems end lines, and without a line end at the end of the file.
  const chain = certificatesOf(content.replaceAll("\r\n", "\n")).map((pem) => `${pem.trimEnd()}\n`);
  const fail = (code: string, message: string, fix: string): FlowctlError =>
    new FlowctlError({ code: `authority/${code}`, kind: "invalid", message: `${path}: ${message}`, fix });
  if (chain.length === 0 || keyText === "") {
    const lacks = chain.length === 0 ? "certificate" : "private key";
    const fix =
      "Put the certificate of the authority first, then those above it, then its key, all in PEM and without a passphrase.";
    throw fail("incomplete", `it has no ${lacks} in PEM`, fix);
  }
  const parsed = chain.map((pem, at) =>
    parse(pem, () => fail("incomplete", `certificate ${at + 1} in it cannot be read`, "Put it there again, in PEM.")),
  );
  const [lowest] = parsed;
  const key = parseKey(keyText, () =>
    fail("incomplete", "its private key cannot be read", "Give the key in PEM and without a passphrase, as PKCS #8."),
  );
  requireKey(key, lowest!, fail);
  for (const [at, certificate] of parsed.entries()) {
    requireAuthority(certificate, at, fail);
    requireTime(certificate, now, fail);
    requireNames(certificate, pipeline, fail);
    const above = parsed[at + 1];
    if (
      above !== undefined &&
      !(certificate.x509.checkIssued(above.x509) && certificate.x509.verify(above.x509.publicKey))
    ) {
      const fix = "Put the certificates in order, each followed by the one of its issuer.";
      throw fail("broken-chain", `${shown(certificate)} is not signed by the certificate after it`, fix);
    }
  }
  const keyId = lowest!.extensions.get(EXTENSION.keyId);
  if (keyId === undefined) {
    const fix = "Have it made again with a subject key identifier, which RFC 5280 demands.";
    throw fail("not-an-authority", `${shown(lowest!)} does not say how its key is called`, fix);
  }
  return {
    chain,
    key,
    name: lowest!.name,
    keyId: readValues(keyId)[0]!.content,
    begins: new Date(Math.max(...parsed.map(({ x509 }) => Date.parse(x509.validFrom)))),
    expires: new Date(Math.min(...parsed.map(({ x509 }) => Date.parse(x509.validTo)))),
  };
}

interface Parsed {
  readonly x509: X509Certificate;
  /** Its subject, encoded. */
  readonly name: Buffer;
  /** What its extensions hold, encoded, by their ids in hexadecimal digits. */
  readonly extensions: ReadonlyMap<string, Buffer>;
}

type Fail = (code: string, message: string, fix: string) => FlowctlError;

function parse(pem: string, fail: () => FlowctlError): Parsed {
  try {
    const x509 = new X509Certificate(pem);
    const [signed] = readValues(readValues(x509.raw)[0]!.content);
    const fields = readValues(signed!.content);
    // version, serial, algorithm, issuer, validity, subject
    const name = fields[5]!.whole;
    const tagged = fields.find(({ tag }) => tag === 0xa3);
    const extensions = tagged === undefined ? [] : readValues(readValues(tagged.content)[0]!.content);
    return {
      x509,
      name,
      extensions: new Map(
        extensions.map(({ content }) => {
          const parts = readValues(content);
          return [parts[0]!.content.toString("hex"), parts.at(-1)!.content] as const;
        }),
      ),
    };
  } catch {
    throw fail();
  }
}

function parseKey(text: string, fail: () => FlowctlError): KeyObject {
  try {
    return createPrivateKey(text);
  } catch {
    throw fail();
  }
}

function requireKey(key: KeyObject, { x509 }: Parsed, fail: Fail): void {
  if (!x509.checkPrivateKey(key)) {
    const fix = "Put the certificate that belongs to the key first, or the key that belongs to it.";
    throw fail("key-mismatch", "its key is not the one of its first certificate", fix);
  }
  const { asymmetricKeyType: type, asymmetricKeyDetails } = key;
  const bits = asymmetricKeyDetails?.modulusLength ?? 0;
  if (type === "ec" || (type === "rsa" && bits >= SMALLEST_RSA_BITS)) return;
  const fix = `Use an authority with an EC key, or an RSA key of at least ${SMALLEST_RSA_BITS} bits.`;
  throw fail("key-type", `its key is ${type === "rsa" ? `an RSA key of ${bits} bits` : `of type ${type}`}`, fix);
}

/** It may make certificates, and below it are as many authorities as there are to be, that of the pipeline included. */
function requireAuthority(certificate: Parsed, at: number, fail: Fail): void {
  const { x509, extensions } = certificate;
  const usage = extensions.get(EXTENSION.keyUsage);
  // The sixth bit: signs certificates.
  const signs = usage === undefined || ((readValues(usage)[0]?.content[1] ?? 0) & 0b0000_0100) !== 0;
  if (!x509.ca || !signs) {
    const fix = "Use the certificate of an authority: with CA:TRUE, and the key usage to sign certificates.";
    throw fail("not-an-authority", `${shown(certificate)} is not that of an authority`, fix);
  }
  const limit = pathLengthOf(extensions.get(EXTENSION.basicConstraints));
  if (limit === undefined || limit > at) return;
  const fix = `Have it made with a path length of at least ${at + 1}, or without a limit: the authority of the pipeline is one more below it.`;
  throw fail(
    "path-length",
    `${shown(certificate)} allows ${limit} authorities below it, and ${at + 1} are needed`,
    fix,
  );
}

function pathLengthOf(constraints: Buffer | undefined): number | undefined {
  if (constraints === undefined) return undefined;
  const length = readValues(readValues(constraints)[0]?.content ?? Buffer.alloc(0)).find(({ tag }) => tag === 0x02);
  return length === undefined ? undefined : Number.parseInt(length.content.toString("hex"), 16);
}

function requireTime(certificate: Parsed, now: number, fail: Fail): void {
  const { validFrom, validTo } = certificate.x509;
  if (now < Date.parse(validFrom))
    throw fail(
      "not-valid",
      `${shown(certificate)} is valid from ${validFrom} on only`,
      "Look at the clock of this machine, or wait.",
    );
  if (now >= Date.parse(validTo))
    throw fail("not-valid", `${shown(certificate)} expired at ${validTo}`, "Have it made again, and give the new one.");
}

/** What an authority allows below it has to have room for our names: URIs, host names, and subjects of our own. */
function requireNames(certificate: Parsed, pipeline: string, fail: Fail): void {
  const constraints = certificate.extensions.get(EXTENSION.nameConstraints);
  if (constraints === undefined) return;
  const trees = readValues(readValues(constraints)[0]?.content ?? Buffer.alloc(0));
  const namesIn = (number: number): { readonly kind: number; readonly text: string }[] =>
    trees
      .filter(({ tag }) => (tag & 0x1f) === number)
      .flatMap(({ content }) => readValues(content))
      .flatMap(({ content }) => readValues(content).slice(0, 1))
      .map(({ tag, content }) => ({ kind: tag & 0x1f, text: content.toString("latin1") }));
  const [permitted, excluded] = [namesIn(0), namesIn(1)];
  const fix = "Use an authority without name constraints, or with some that permit this.";
  const forbids = (what: string): FlowctlError =>
    fail("name-constraints", `the name constraints of ${shown(certificate)} forbid ${what}`, fix);
  const of = (names: typeof permitted, wanted: number): readonly string[] =>
    names.filter(({ kind }) => kind === wanted).map(({ text }) => text);
  const isAllowed = (names: readonly string[], covered: (name: string) => boolean): boolean =>
    names.length === 0 || names.some(covered);
  const isOurs = (host: string): boolean => covers(host, pipeline);
  if (of(excluded, NAME.uri).some((host) => host === "" || isOurs(host)) || !isAllowed(of(permitted, NAME.uri), isOurs))
    throw forbids(`the URI spiffe://${pipeline}`);
  // Instances have host names of all kinds.
  const isAny = (host: string): boolean => host === "";
  if (of(excluded, NAME.dns).some(isAny) || !isAllowed(of(permitted, NAME.dns), isAny))
    throw forbids("the host names of instances and of the control plane");
  if (of(permitted, NAME.directory).length > 0) throw forbids("subjects of ours");
}

/** Whether a constraint on the hosts of URIs is about `host`: with a dot in front it is about those below it. */
function covers(constraint: string, host: string): boolean {
  return constraint.startsWith(".") ? host.endsWith(constraint) : host === constraint;
}

function shown({ x509 }: Parsed): string {
  return `the certificate of ${x509.subject.replaceAll("\n", ", ")}`;
}

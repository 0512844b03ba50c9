import { createHash, createPrivateKey, X509Certificate } from "node:crypto";
import { FlowctlError } from "../foundation/errors.ts";
import { makeKey, signCertificate } from "./certificate.ts";
import type { GivenAuthority } from "./given-authority.ts";
import type { IssuedCertificate } from "./issued-certificate.ts";
import { formatName, hostNameOf, type Name } from "./names.ts";
import { expiryOf } from "./peer.ts";
import { certificatesOf } from "./pem.ts";
import { looseSerial } from "./serial.ts";
import type { TlsIdentity } from "./tls-identity.ts";

export type { IssuedCertificate } from "./issued-certificate.ts";

/** Makes the certificates of one pipeline. */
export interface Authority {
  readonly pipeline: string;
  /** Its own certificate, in PEM: what everybody of the pipeline trusts. */
  readonly certificate: string;
  /**
   * Where an authority of somebody's own has signed it: what leads from it to that, in PEM, lowest first. Whoever has a certificate shows this as
   * well, for those outside of the pipeline. Empty elsewhere.
   */
  readonly chain: readonly string[];
  /**
   * A certificate with a new key. `serial` in hexadecimal digits: made up when left out. `expires`: never when left out. Rejects with
   * `identity/name` for a name that could be mistaken.
   */
  issue(name: Name, options?: CertificateOptions): Promise<IssuedCertificate>;
  /** The same for a key that is there: `publicKey` is its public part, as SubjectPublicKeyInfo. Throws `identity/name`. */
  certify(name: Name, publicKey: Uint8Array, options?: CertificateOptions): string;
}

interface CertificateOptions {
  readonly serial?: string;
  readonly expires?: Date;
}

/** Before any clock that a machine may have been set to: one without a battery begins with this. */
const SINCE = new Date(0);
/** What RFC 5280 has for a certificate without an end. */
const FOR_EVER = new Date("9999-12-31T23:59:59Z");

/**
 * Makes the authority of a pipeline: what is to be kept of it. Nothing else has its key. `given`: an authority of somebody's own, which signs it
 * as well.
 */
export async function createAuthority(pipeline: string, given?: GivenAuthority): Promise<IssuedCertificate> {
  const { publicKey, privateKey } = await makeKey();
  const names = { issuer: authorityName(pipeline), subject: authorityName(pipeline), uri: authorityUri(pipeline) };
  const keys = { publicKey, issuerPublicKey: publicKey };
  const certificate = signCertificate(
    { ...names, ...keys, serial: looseSerial(), notBefore: SINCE, notAfter: FOR_EVER, hosts: [], uses: "authority" },
    createPrivateKey(privateKey),
  );
  if (given === undefined) return { certificate, key: privateKey };
  const crossSigned = signCertificate(
    {
      ...{ subject: names.subject, uri: names.uri, publicKey },
      ...{ issuer: given.name, issuerPublicKey: { keyId: given.keyId } },
      ...{ serial: looseSerial(), notBefore: given.begins, notAfter: given.expires },
      ...{ hosts: [], uses: "authority" },
    },
    given.key,
  );
  return { certificate: [certificate, crossSigned, ...given.chain].join(""), key: privateKey };
}

/** Whether the authority is one that `given` has signed. */
export function isSignedBy({ chain }: Pick<Authority, "chain">, given: GivenAuthority): boolean {
  return chain.slice(1).join("") === given.chain.join("");
}

/** When the first certificate above an authority expires, in milliseconds since 1970; undefined where there is none. */
export function chainExpiry({ chain }: Pick<Authority, "chain">): number | undefined {
  return chain.length === 0 ? undefined : Math.min(...chain.map(expiryOf));
}

/** The authority out of what was kept of it. Throws `identity/damaged` when that is not the authority of this pipeline. */
export function openAuthority(pipeline: string, kept: IssuedCertificate): Authority {
  const { issuerKey, issuerPublicKey } = keysOf(pipeline, kept);
  const [own = "", ...chain] = certificatesOf(kept.certificate);
  const certify: Authority["certify"] = (name, publicKey, { serial = looseSerial(), expires = FOR_EVER } = {}) => {
    const uri = formatName(name);
    const host = hostNameOf(name);
    const certificate = signCertificate(
      {
        ...{ serial, uri, publicKey, issuerPublicKey },
        issuer: authorityName(pipeline),
        subject: name.role,
        notBefore: SINCE,
        notAfter: expires,
        hosts: host === undefined ? [] : [host],
        uses: usesOf(name),
      },
      issuerKey,
    );
    return [certificate, ...chain].join("");
  };
  return {
    pipeline,
    certificate: own,
    chain,
    certify,
    async issue(name, options) {
      formatName(name);
      const { publicKey, privateKey } = await makeKey();
      return { certificate: certify(name, publicKey, options), key: privateKey };
    },
  };
}

/** What an authority is told from others by, which says nothing of its key. */
export function authorityId({ certificate }: Pick<Authority, "certificate">): string {
  return createHash("sha256").update(new X509Certificate(certificate).raw).digest("hex").slice(0, 32);
}

/** Whether a certificate is one that the authority has made, whole, and with its own key. */
export function isIssuedBy(authority: Pick<Authority, "certificate">, issued: IssuedCertificate): boolean {
  try {
    const certificate = new X509Certificate(issued.certificate);
    const isOwn = certificate.verify(new X509Certificate(authority.certificate).publicKey);
    return isOwn && certificate.checkPrivateKey(createPrivateKey(issued.key));
  } catch {
    return false;
  }
}

/** What proves one to be who a certificate is of, to those who trust the authority. */
export function identityOf(authority: Pick<Authority, "certificate">, issued: IssuedCertificate): TlsIdentity {
  return {
    ca: Buffer.from(authority.certificate),
    certificate: Buffer.from(issued.certificate),
    key: Buffer.from(issued.key),
  };
}

function keysOf(pipeline: string, kept: IssuedCertificate) {
  try {
    const certificate = new X509Certificate(kept.certificate);
    const issuerKey = createPrivateKey(kept.key);
    if (!certificate.ca || certificate.subjectAltName !== `URI:${authorityUri(pipeline)}`)
      throw new Error("its certificate is not that of an authority of this pipeline");
    if (!certificate.checkPrivateKey(issuerKey)) throw new Error("its key is not the one of its certificate");
    return { issuerKey, issuerPublicKey: certificate.publicKey.export({ type: "spki", format: "der" }) };
  } catch (error) {
    throw FlowctlError.wrap(error, {
      code: "identity/damaged",
      kind: "failed",
      message: `the authority of pipeline ${pipeline} cannot be used`,
      fix: `Run \`flowctl up -d -p ${pipeline}\`: it makes another authority, and replaces what trusts this one.`,
    });
  }
}

function authorityUri(pipeline: string): string {
  return `spiffe://${pipeline}`;
}

/** Certificates have names of at most 64 characters. */
function authorityName(pipeline: string): string {
  return `flowctl ${pipeline}`.slice(0, 64);
}

/** Who serves may also dial; all others only dial. */
function usesOf({ role }: Name): readonly ("server" | "client")[] {
  if (role === "control-plane") return ["server"];
  return role === "component" ? ["server", "client"] : ["client"];
}

import { createHash, generateKeyPair, type KeyObject, sign } from "node:crypto";
import { promisify } from "node:util";
import {
  bits,
  boolean,
  explicit,
  implicit,
  integer,
  nothing,
  objectId,
  octets,
  sequence,
  setOf,
  time,
  utf8,
} from "./der.ts";

/** What a certificate says. */
export interface CertificateContent {
  /** Hexadecimal digits; positive, of at most 20 bytes. */
  readonly serial: string;
  /** Its common name, or its whole name as it stands in its own certificate, encoded. */
  readonly issuer: string | Uint8Array;
  readonly subject: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** An EC key as SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array;
  /** The key of whoever signs it, or how its own certificate calls that key. */
  readonly issuerPublicKey: Uint8Array | { readonly keyId: Uint8Array };
  /** Whose it is: a URI first, then host names. */
  readonly uri: string;
  readonly hosts: readonly string[];
  /** What its owner may do: make certificates, or be one side of TLS, or both sides. */
  readonly uses: "authority" | readonly ("server" | "client")[];
}

/** How a kind of key signs. */
const SIGNATURES: Readonly<Record<string, Buffer>> = {
  ec: sequence(objectId("1.2.840.10045.4.3.2")),
  rsa: sequence(objectId("1.2.840.113549.1.1.11"), nothing()),
};
const VERSION_3 = explicit(0, integer("2"));
const COMMON_NAME = objectId("2.5.4.3");
const EXTENDED_USE = { server: objectId("1.3.6.1.5.5.7.3.1"), client: objectId("1.3.6.1.5.5.7.3.2") } as const;
/** Bits of a key's use: the first one, and the sixth. */
const SIGNS_DATA = bits(Buffer.from([0b1000_0000]), 7);
const SIGNS_CERTIFICATES = bits(Buffer.from([0b0000_0100]), 2);

/** A certificate in PEM, as RFC 5280 describes it, signed by an EC or RSA key with SHA-256. */
export function signCertificate(content: CertificateContent, issuerKey: KeyObject): string {
  const signature = SIGNATURES[issuerKey.asymmetricKeyType ?? ""];
  if (signature === undefined) throw new Error(`keys of type ${issuerKey.asymmetricKeyType} sign no certificates here`);
  const signed = sequence(
    VERSION_3,
    integer(content.serial),
    signature,
    typeof content.issuer === "string" ? commonName(content.issuer) : content.issuer,
    sequence(time(content.notBefore), time(content.notAfter)),
    commonName(content.subject),
    content.publicKey,
    explicit(3, sequence(...extensionsOf(content))),
  );
  return toPem("CERTIFICATE", sequence(signed, signature, bits(sign("sha256", signed, issuerKey))));
}

/** A new key: its public part as SubjectPublicKeyInfo, its private part in PEM as PKCS #8. */
export async function makeKey(): Promise<{ readonly publicKey: Uint8Array; readonly privateKey: string }> {
  return promisify(generateKeyPair)("ec", {
    namedCurve: "P-256",
    publicKeyEncoding: { type: "spki", format: "der" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
}

function extensionsOf({ uses, uri, hosts, publicKey, issuerPublicKey }: CertificateContent): Buffer[] {
  const isAuthority = uses === "authority";
  const names = sequence(
    implicit(6, Buffer.from(uri, "ascii")),
    ...hosts.map((host) => implicit(2, Buffer.from(host, "ascii"))),
  );
  return [
    // An authority makes certificates, and none for other authorities.
    extension("2.5.29.19", isAuthority ? sequence(boolean(true), integer("0")) : sequence(), "critical"),
    extension("2.5.29.15", isAuthority ? SIGNS_CERTIFICATES : SIGNS_DATA, "critical"),
    ...(isAuthority ? [] : [extension("2.5.29.37", sequence(...uses.map((use) => EXTENDED_USE[use])), "critical")]),
    extension("2.5.29.17", names),
    extension("2.5.29.14", octets(keyIdOf(publicKey))),
    extension(
      "2.5.29.35",
      sequence(implicit(0, "keyId" in issuerPublicKey ? issuerPublicKey.keyId : keyIdOf(issuerPublicKey))),
    ),
  ];
}

function extension(id: string, content: Uint8Array, critical?: "critical"): Buffer {
  return sequence(objectId(id), ...(critical === undefined ? [] : [boolean(true)]), octets(content));
}

function commonName(name: string): Buffer {
  return sequence(setOf(sequence(COMMON_NAME, utf8(name))));
}

/** The name of a key, by which the certificate of whoever signed is found. */
function keyIdOf(publicKey: Uint8Array): Buffer {
  return createHash("sha256").update(publicKey).digest().subarray(0, 20);
}

function toPem(label: string, der: Buffer): string {
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}

import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
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
import { looseSerial } from "./serial.ts";

/** An authority as a company has one. */
export interface TestCompanyAuthority {
  /** Its certificate, then those above it, in PEM. */
  readonly chain: readonly string[];
  readonly key: KeyObject;
  readonly name: Buffer;
  readonly keyId: Buffer;
  /** As it is given to flowctl: the chain and the key. */
  readonly file: string;
}

export interface TestCompanyOptions {
  readonly name?: string;
  /** Left out: nobody, it signs itself. */
  readonly issuer?: TestCompanyAuthority;
  readonly key?: "ec" | "rsa" | "small-rsa" | "ed25519";
  /** Left out: without a limit. */
  readonly pathLength?: number;
  readonly isAuthority?: boolean;
  readonly begins?: Date;
  readonly expires?: Date;
  /** Of name constraints: each the tag of a kind of name, and a name. */
  readonly permitted?: readonly (readonly [kind: number, name: string])[];
  readonly excluded?: readonly (readonly [kind: number, name: string])[];
}

const YEAR_MS = 365 * 24 * 60 * 60 * 1000;

/** Makes one, apart from what flowctl itself makes certificates with. */
export function testCompanyAuthority(options: TestCompanyOptions = {}): TestCompanyAuthority {
  const { name = "Acme Root", issuer, isAuthority = true, pathLength, permitted = [], excluded = [] } = options;
  const { publicKey, privateKey } = keyPair(options.key ?? "ec");
  const spki = publicKey.export({ type: "spki", format: "der" });
  // Not as flowctl calls keys.
  const keyId = createHash("sha1").update(spki).digest();
  const subject = sequence(
    setOf(sequence(objectId("2.5.4.10"), utf8("Acme"))),
    setOf(sequence(objectId("2.5.4.3"), utf8(name))),
  );
  const signer = issuer?.key ?? privateKey;
  const algorithm =
    signer.asymmetricKeyType === "rsa"
      ? sequence(objectId("1.2.840.113549.1.1.11"), nothing())
      : sequence(objectId(signer.asymmetricKeyType === "ed25519" ? "1.3.101.112" : "1.2.840.10045.4.3.2"));
  const trees = (number: number, names: typeof permitted): Buffer[] =>
    names.length === 0
      ? []
      : [explicit(number, Buffer.concat(names.map(([kind, text]) => sequence(generalName(kind, text)))))];
  const constraints = [...trees(0, permitted), ...trees(1, excluded)];
  const length = pathLength === undefined ? [] : [integer(pathLength.toString(16))];
  const extensions = [
    extension("2.5.29.19", isAuthority ? sequence(boolean(true), ...length) : sequence()),
    extension("2.5.29.15", bits(Buffer.from([isAuthority ? 0b0000_0100 : 0b1000_0000]), 2)),
    extension("2.5.29.14", octets(keyId)),
    extension("2.5.29.35", sequence(implicit(0, issuer?.keyId ?? keyId))),
    ...(constraints.length === 0 ? [] : [extension("2.5.29.30", sequence(...constraints))]),
  ];
  const signed = sequence(
    explicit(0, integer("2")),
    integer(looseSerial()),
    algorithm,
    issuer?.name ?? subject,
    sequence(
      time(options.begins ?? new Date(Date.now() - YEAR_MS)),
      time(options.expires ?? new Date(Date.now() + YEAR_MS)),
    ),
    subject,
    spki,
    explicit(3, sequence(...extensions)),
  );
  const hash = signer.asymmetricKeyType === "ed25519" ? null : "sha256";
  const der = sequence(signed, algorithm, bits(sign(hash, signed, signer)));
  const pem = `-----BEGIN CERTIFICATE-----\n${der.toString("base64")}\n-----END CERTIFICATE-----\n`;
  const chain = [pem, ...(issuer?.chain ?? [])];
  const key = privateKey.export({ type: "pkcs8", format: "pem" }) as string;
  return { chain, key: privateKey, name: subject, keyId, file: [...chain, key].join("") };
}

function keyPair(kind: NonNullable<TestCompanyOptions["key"]>) {
  if (kind === "ec") return generateKeyPairSync("ec", { namedCurve: "P-384" });
  if (kind === "ed25519") return generateKeyPairSync("ed25519");
  return generateKeyPairSync("rsa", { modulusLength: kind === "rsa" ? 2048 : 1024 });
}

function generalName(kind: number, text: string): Buffer {
  if (kind !== 4) return implicit(kind, Buffer.from(text));
  return explicit(4, sequence(setOf(sequence(objectId("2.5.4.10"), utf8(text)))));
}

function extension(id: string, content: Uint8Array): Buffer {
  return sequence(objectId(id), octets(content));
}

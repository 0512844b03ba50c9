import { createHash, createPrivateKey, hkdfSync, timingSafeEqual } from "node:crypto";
import type { TlsIdentity } from "./tls-identity.ts";

/** Begins every token, so that whoever finds one, such as a scanner for secrets, knows what it is. */
const PREFIX = "flowctl_";
const TOKEN_BYTES = 32;

/**
 * What whoever has a certificate shows over HTTP, as `Authorization: Bearer <token>`: 256 bits that follow from the key of the certificate,
 * and from which the key does not follow. Whoever gets another certificate gets another token with it.
 */
export function httpTokenOf({ key }: Pick<TlsIdentity, "key">): string {
  const secret = createPrivateKey(key).export({ type: "pkcs8", format: "der" });
  const bits = hkdfSync("sha256", secret, "", "flowctl http token", TOKEN_BYTES);
  return PREFIX + Buffer.from(bits).toString("base64url");
}

/** What is kept of a secret in its place: a hash, from which nobody guesses 128 random bits or more. */
export function secretHash(secret: string): Buffer {
  return createHash("sha256").update(secret).digest();
}

/** Whether two hashes are equal, in a time that does not depend on where they differ. */
export function isSameHash(one: Buffer, other: Buffer): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}

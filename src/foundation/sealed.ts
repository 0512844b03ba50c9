import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from "node:crypto";

const NONCE = 12;
const TAG = 16;

/**
 * Something that may be kept where others can read and write: nobody learns from it or changes it unnoticed without the key (AES-256-GCM).
 * `purpose` keeps what one key is used for apart.
 */
export function seal(content: Uint8Array, key: Uint8Array, purpose: string): Uint8Array {
  const nonce = randomBytes(NONCE);
  const cipher = createCipheriv("aes-256-gcm", derived(key, purpose), nonce);
  return Buffer.concat([nonce, cipher.update(content), cipher.final(), cipher.getAuthTag()]);
}

/** What was sealed; undefined when it was sealed with another key or for another purpose, or was changed since. */
export function unseal(sealed: Uint8Array, key: Uint8Array, purpose: string): Uint8Array | undefined {
  if (sealed.length < NONCE + TAG) return undefined;
  const end = sealed.length - TAG;
  const cipher = createDecipheriv("aes-256-gcm", derived(key, purpose), sealed.subarray(0, NONCE));
  cipher.setAuthTag(sealed.subarray(end));
  try {
    return Buffer.concat([cipher.update(sealed.subarray(NONCE, end)), cipher.final()]);
  } catch {
    return undefined;
  }
}

/** Tells, to whoever has the key, whether a value is the same as another, and nothing else of it. */
export function sealedDigest(value: Uint8Array, key: Uint8Array, purpose: string): string {
  return createHmac("sha256", derived(key, purpose)).update(value).digest("hex").slice(0, 32);
}

function derived(key: Uint8Array, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", key, "", `flowctl ${purpose}`, 32));
}

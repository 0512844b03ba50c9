import { randomBytes } from "node:crypto";

/**
 * What the serial number of an instance's certificate says of how it came to be. A chain begins with the joining certificate that the
 * driver starts an instance with, which has step 0. Each answer to `Join` is a step of it: its working certificate, those that this is renewed
 * by, and the next joining certificate have the number of the answer.
 */
export interface Link {
  /** 16 hexadecimal digits. */
  readonly chain: string;
  readonly step: number;
}

const CHAIN_DIGITS = 16;
const STEP_DIGITS = 8;
const RANDOM_BYTES = 8;

/** The longest chain: so often can the program of an instance be started without the driver's having a part in it. */
export const MAX_STEP = 0xffff_ffff;

/** The first link of a new chain. */
export function newChain(): Link {
  return { chain: positive(randomBytes(CHAIN_DIGITS / 2)).toString("hex"), step: 0 };
}

/** A serial number of its own, in hexadecimal digits: 20 bytes, as many as RFC 5280 allows. */
export function serialOf({ chain, step }: Link): string {
  return chain + step.toString(16).padStart(STEP_DIGITS, "0") + randomBytes(RANDOM_BYTES).toString("hex");
}

/** A serial number that is no link of any chain. */
export function looseSerial(): string {
  return positive(randomBytes(RANDOM_BYTES)).toString("hex");
}

/** The link that a serial number says; undefined when it says none. */
export function linkOf(serial: string): Link | undefined {
  const digits = serial.toLowerCase();
  if (!/^[0-9a-f]{40}$/.test(digits)) return undefined;
  return {
    chain: digits.slice(0, CHAIN_DIGITS),
    step: Number.parseInt(digits.slice(CHAIN_DIGITS, CHAIN_DIGITS + STEP_DIGITS), 16),
  };
}

/** A serial number is a positive integer: no byte is put before it, and none is left out, when its first is from 0x40 to 0x7f. */
function positive(bytes: Buffer): Buffer {
  bytes[0] = (bytes[0]! & 0x3f) | 0x40;
  return bytes;
}

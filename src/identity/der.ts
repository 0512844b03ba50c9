/** Values in DER, the encoding of certificates (ITU-T X.690): each is a tag, a length and a content. */

const CLASS_CONTEXT = 0x80;
const CONSTRUCTED = 0x20;

function value(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  return Buffer.concat([Buffer.from([tag]), lengthOf(body.length), body]);
}

function lengthOf(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length]);
  const digits = length.toString(16);
  const bytes = Buffer.from(digits.padStart(digits.length + (digits.length % 2), "0"), "hex");
  return Buffer.concat([Buffer.from([0x80 | bytes.length]), bytes]);
}

export function sequence(...items: readonly Uint8Array[]): Buffer {
  return value(0x30, ...items);
}

export function setOf(item: Uint8Array): Buffer {
  return value(0x31, item);
}

/** What a context tags, with its own tag inside. */
export function explicit(number: number, item: Uint8Array): Buffer {
  return value(CLASS_CONTEXT | CONSTRUCTED | number, item);
}

/** What a context tags in the place of its own tag. */
export function implicit(number: number, content: Uint8Array): Buffer {
  return value(CLASS_CONTEXT | number, content);
}

/** A positive integer, of its digits in hexadecimal. */
export function integer(digits: string): Buffer {
  const even = digits.padStart(digits.length + (digits.length % 2), "0").replace(/^(00)+(?=..)/, "");
  const bytes = Buffer.from(even, "hex");
  return value(0x02, ...(bytes[0]! >= 0x80 ? [Buffer.from([0]), bytes] : [bytes]));
}

export function boolean(is: boolean): Buffer {
  return value(0x01, Buffer.from([is ? 0xff : 0]));
}

export function nothing(): Buffer {
  return value(0x05);
}

export function octets(content: Uint8Array): Buffer {
  return value(0x04, content);
}

/** @param unused So many of the last bits do not count. */
export function bits(content: Uint8Array, unused = 0): Buffer {
  return value(0x03, Buffer.from([unused]), content);
}

export function utf8(text: string): Buffer {
  return value(0x0c, Buffer.from(text));
}

/** Of numbers with dots between them. */
export function objectId(id: string): Buffer {
  const [first = 0, second = 0, ...rest] = id.split(".").map(Number);
  return value(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
}

function base128(number: number): number[] {
  const bytes = [number & 0x7f];
  for (let rest = number >> 7; rest > 0; rest >>= 7) bytes.unshift((rest & 0x7f) | 0x80);
  return bytes;
}

/** To the second. Years until 2049 have two digits, as RFC 5280 demands. */
export function time(date: Date): Buffer {
  const digits = date.toISOString().replaceAll(/[-:T]|\.\d+/g, "");
  const isEarly = date.getUTCFullYear() < 2050;
  return isEarly ? value(0x17, Buffer.from(digits.slice(2))) : value(0x18, Buffer.from(digits));
}

/** A value as it was read. */
export interface DerValue {
  readonly tag: number;
  readonly content: Buffer;
  /** With its tag and length. */
  readonly whole: Buffer;
}

/** The values that stand one after the other in `bytes`. Throws RangeError where one is cut off. */
export function readValues(bytes: Buffer): DerValue[] {
  const values: DerValue[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at]!;
    const first = bytes[at + 1] ?? 0;
    const digits = first < 0x80 ? 0 : first & 0x7f;
    const begin = at + 2 + digits;
    if (digits > 4 || begin > bytes.length) throw new RangeError("a length is too long, or cut off");
    const length = digits === 0 ? first : bytes.readUIntBE(at + 2, digits);
    if (begin + length > bytes.length) throw new RangeError("a value is cut off");
    values.push({ tag, content: bytes.subarray(begin, begin + length), whole: bytes.subarray(at, begin + length) });
    at = begin + length;
  }
  return values;
}

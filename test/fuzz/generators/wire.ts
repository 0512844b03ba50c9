import type { Random } from "../../chaos/harness/random.ts";

/** What can be done to the bytes of a protobuf message. */
type Mutation = (bytes: Buffer, random: Random) => Buffer;

const GIANT_VARINTS = [
  Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f]),
  Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
  Buffer.alloc(12, 0xff),
  Buffer.from([0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00]),
  Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
];

const INVALID_UTF8 = [
  Buffer.from([0xc0, 0x80]),
  Buffer.from([0xed, 0xa0, 0x80]),
  Buffer.from([0xf8]),
  Buffer.from([0xff]),
];

const mutations: Readonly<Record<string, Mutation>> = {
  truncate: (bytes, random) => bytes.subarray(0, random.below(bytes.length + 1)),
  flip: (bytes, random) => changed(bytes, random, (byte) => byte ^ (1 << random.below(8))),
  replace: (bytes, random) => changed(bytes, random, () => random.below(256)),
  wireType: (bytes, random) => changed(bytes, random, (byte) => (byte & 0xf8) | random.below(8)),
  giant: (bytes, random) => spliced(bytes, random, random.pick(GIANT_VARINTS)),
  utf8: (bytes, random) => spliced(bytes, random, random.pick(INVALID_UTF8)),
  insert: (bytes, random) =>
    spliced(bytes, random, Buffer.from(Array.from({ length: 1 + random.below(8) }, () => random.below(256)))),
  remove: (bytes, random) => {
    const at = random.below(bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random.below(12))]);
  },
  repeat: (bytes, random) => {
    const at = random.below(bytes.length + 1);
    const part = bytes.subarray(at, at + random.below(64));
    return Buffer.concat([
      bytes.subarray(0, at),
      ...Array<Buffer>(1 + random.below(20)).fill(part),
      bytes.subarray(at),
    ]);
  },
  twice: (bytes) => Buffer.concat([bytes, bytes]),
  unknownField: (bytes, random) =>
    Buffer.concat([bytes, Buffer.from([0xfa | random.below(5), 0x7f, random.below(4), 1, 2, 3, 4, 5, 6, 7, 8])]),
  groups: (bytes, random) => Buffer.concat([bytes, Buffer.alloc(1 + random.below(3_000), 0x0b)]),
};

/** A message that was damaged in one to four places. */
export function mutated(bytes: Buffer, random: Random): Buffer {
  let result = bytes;
  for (let times = random.between(1, 4); times > 0; times--) {
    const name = random.pick(Object.keys(mutations));
    result = mutations[name]!(result, random);
  }
  return result;
}

function changed(bytes: Buffer, random: Random, change: (byte: number) => number): Buffer {
  if (bytes.length === 0) return bytes;
  const copy = Buffer.from(bytes);
  const at = random.below(copy.length);
  copy[at] = change(copy[at]!);
  return copy;
}

function spliced(bytes: Buffer, random: Random, inserted: Buffer): Buffer {
  const at = random.below(bytes.length + 1);
  return Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(at)]);
}

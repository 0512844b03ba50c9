import { varintSize, WireReader, WireType, writeVarint } from "./wire.ts";
import { invalidMessage } from "./wire-values.ts";

/**
 * Messages of the protocol out of tables: what a protocol file says, as data. They are read and written as plain objects
 * in the form that proto-loader gives them (camelCase keys, numbers, enum values as names, every field present, absent
 * messages as null), without loading it and the protocol files, which is half of a small program's start.
 */
export interface MessageType<T> extends ValueType<T | null> {
  readonly fields: Readonly<Record<string, Field<unknown>>>;
  /** What is left out counts as the field's default; keys that are no fields are passed over. */
  encode(message: Partial<T>): Buffer;
  /** Throws `protocol/malformed`. Fields that it does not know are passed over. */
  decode(bytes: Uint8Array): T;
}

/** One kind of value, as a protocol file names it. */
export interface ValueType<V> {
  readonly name: string;
  readonly wireType: number;
  /** What an absent field reads as. */
  readonly absent: V;
  /** The bytes after the tag. */
  write(value: V): Uint8Array;
  read(reader: WireReader): V;
}

export interface Field<V> {
  readonly number: number;
  readonly label: "one" | "optional" | "list" | "map";
  readonly type: ValueType<unknown>;
  write(value: V, parts: Uint8Array[]): void;
  /** What the field is before anything of it was read. */
  initial(): V;
  /** Reads one occurrence into what was read before. */
  read(reader: WireReader, before: V): V;
}

/** The fields of a message by their names. */
export type Fields = Readonly<Record<string, Field<unknown>>>;

/** The plain object of a message with these fields. */
export type Message<F extends Fields> = { readonly [Key in keyof F]: F[Key] extends Field<infer V> ? V : never };

/** The plain object that a table reads and writes. */
export type MessageOf<Type> = Type extends MessageType<infer T> ? T : never;

export const string: ValueType<string> = {
  name: "string",
  wireType: WireType.bytes,
  absent: "",
  write: (value) => delimited(Buffer.from(value)),
  read: (reader) => bytesOf(reader).toString(),
};

export const bytes: ValueType<Uint8Array> = {
  name: "bytes",
  wireType: WireType.bytes,
  absent: Buffer.alloc(0),
  write: (value) => delimited(value),
  read: (reader) => Buffer.from(bytesOf(reader)),
};

export const bool: ValueType<boolean> = {
  name: "bool",
  wireType: WireType.varint,
  absent: false,
  write: (value) => varint(value ? 1 : 0),
  read: (reader) => reader.uint64() !== 0n,
};

export const double: ValueType<number> = {
  name: "double",
  wireType: WireType.fixed64,
  absent: 0,
  write(value) {
    const buffer = Buffer.alloc(8);
    buffer.writeDoubleLE(value);
    return buffer;
  },
  read(reader) {
    const { buffer, position } = reader;
    reader.skip(WireType.fixed64);
    return new DataView(buffer.buffer, buffer.byteOffset + position).getFloat64(0, true);
  },
};

/** Non-negative; what is not a safe integer is cut to one. */
export const uint64: ValueType<number> = {
  name: "uint64",
  wireType: WireType.varint,
  absent: 0,
  write: (value) => varint(Math.min(Math.max(0, Math.trunc(value) || 0), Number.MAX_SAFE_INTEGER)),
  read: (reader) => Number(reader.uint64()),
};

export const uint32: ValueType<number> = {
  ...uint64,
  name: "uint32",
  read: (reader) => Number(BigInt.asUintN(32, reader.uint64())),
};

export const int64: ValueType<number> = {
  name: "int64",
  wireType: WireType.varint,
  absent: 0,
  write: signed,
  read: (reader) => reader.int64(),
};

export const int32: ValueType<number> = { ...int64, name: "int32", read: (reader) => reader.int32() };

/**
 * One protobuf enum against one TypeScript union: `COMPONENT_STATE_HEALTHY` is `healthy` with the prefix `COMPONENT_STATE`. In
 * messages values are names; number 0 is unspecified, and a number without name reads as its digits.
 */
export interface EnumType<T extends string> extends ValueType<string> {
  /** All names, by their number. */
  readonly names: readonly string[];
  /** The name of a value. */
  of(value: T): string;
  /** The value of a name; undefined for what is unspecified or unknown. */
  to(name: string): T | undefined;
  /** Like `to`; throws `protocol/invalid-message` naming `field` where that gives undefined. */
  require(name: string, field: string): T;
}

/** @param values those from number 1 on. */
export function enumType<T extends string>(name: string, prefix: string, values: readonly T[]): EnumType<T> {
  const of = (value: string): string => `${prefix}_${value.toUpperCase()}`;
  const names = ["unspecified", ...values].map(of);
  const to = (said: string): T | undefined => values[names.indexOf(said) - 1];
  return {
    name,
    names,
    of,
    to,
    require(said, field) {
      const value = to(said);
      if (value === undefined) throw invalidMessage(field, `invalid ${field}: ${said}`);
      return value;
    },
    wireType: WireType.varint,
    absent: names[0]!,
    write: (said) => varint(Math.max(0, names.indexOf(said))),
    read(reader) {
      const number = reader.int32();
      return names[number] ?? String(number);
    },
  };
}

/** A field that is there once, and not written when it has its type's default. */
export function one<V>(number: number, type: ValueType<V>): Field<V> {
  return {
    number,
    label: "one",
    type,
    write(value, parts) {
      if (value !== type.absent && !isEmpty(value)) parts.push(tag(number, type), type.write(value));
    },
    initial: () => type.absent,
    read: (reader) => type.read(reader),
  };
}

/** A field of which it is told whether it is there. */
export function optional<V>(number: number, type: ValueType<V>): Field<V | undefined> {
  return {
    number,
    label: "optional",
    type,
    write(value, parts) {
      if (value !== undefined) parts.push(tag(number, type), type.write(value));
    },
    initial: () => undefined,
    read: (reader) => type.read(reader),
  };
}

/** Of texts, bytes or messages. A list of numbers has to be declared `[packed = false]`, and is read in that form alone. */
export function list<V>(number: number, type: ValueType<V>): Field<readonly NonNullable<V>[]> {
  return {
    number,
    label: "list",
    type,
    write(values, parts) {
      for (const value of values) parts.push(tag(number, type), type.write(value));
    },
    initial: () => [],
    read(reader, before) {
      (before as NonNullable<V>[]).push(type.read(reader) as NonNullable<V>);
      return before;
    },
  };
}

export function map<V>(number: number, type: ValueType<V>): Field<Readonly<Record<string, NonNullable<V>>>> {
  const entry = messageType("entry", { key: one(1, string), value: one(2, type) });
  return {
    number,
    label: "map",
    type,
    write(values, parts) {
      for (const [key, value] of Object.entries(values)) parts.push(tag(number, entry), entry.write({ key, value }));
    },
    initial: () => ({}),
    read(reader, before) {
      const { key, value } = entry.read(reader)!;
      // A property of its own whatever its name: `__proto__` is one like any other.
      return Object.defineProperty(before, key, { value, enumerable: true, configurable: true, writable: true });
    },
  };
}

export function messageType<F extends Fields>(name: string, fields: F): MessageType<Message<F>> {
  const entries: readonly (readonly [string, Field<unknown>])[] = Object.entries(fields);
  const byTag = new Map(entries.map(([key, field]) => [tagOf(field), { key, field }]));
  const encode = (message: object): Buffer => {
    const parts: Uint8Array[] = [];
    for (const [key, field] of entries) {
      const value = (message as Readonly<Record<string, unknown>>)[key];
      if (value !== undefined) field.write(value, parts);
    }
    return Buffer.concat(parts);
  };
  const decode = (reader: WireReader): Message<F> => {
    const message: Record<string, unknown> = {};
    for (const [key, field] of entries) if (field.label !== "optional") message[key] = field.initial();
    while (!reader.done) {
      const tag = reader.tag();
      const known = byTag.get(tag);
      if (known === undefined) {
        reader.skip(tag);
        continue;
      }
      message[known.key] = known.field.read(reader, message[known.key]);
    }
    return message as Message<F>;
  };
  return {
    name,
    fields,
    wireType: WireType.bytes,
    absent: null,
    encode,
    decode: (bytes) => decode(new WireReader(bytes)),
    write: (message) => delimited(message === null ? Buffer.alloc(0) : encode(message as object)),
    read(reader) {
      const end = reader.lengthEnd();
      const message = decode(new WireReader(reader.buffer, reader.position, end));
      reader.position = end;
      return message;
    },
  };
}

function tagOf(field: Field<unknown>): number {
  return (field.number << 3) | (field.label === "map" ? WireType.bytes : field.type.wireType);
}

function tag(number: number, type: { readonly wireType: number }): Uint8Array {
  return varint((number << 3) | type.wireType);
}

function isEmpty(value: unknown): boolean {
  return value instanceof Uint8Array && value.length === 0;
}

function varint(value: number): Buffer {
  const buffer = Buffer.alloc(varintSize(value));
  writeVarint(buffer, 0, value);
  return buffer;
}

/** Negative numbers take ten bytes, with their sign carried on to 64 bits. */
function signed(value: number): Buffer {
  const whole = Math.trunc(value) || 0;
  if (whole >= 0) return varint(Math.min(whole, Number.MAX_SAFE_INTEGER));
  const buffer = Buffer.alloc(10);
  let rest = BigInt.asUintN(64, BigInt(whole));
  for (let at = 0; at < 10; at++) {
    buffer[at] = Number(rest & 0x7fn) | (at < 9 ? 0x80 : 0);
    rest >>= 7n;
  }
  return buffer;
}

function delimited(content: Uint8Array): Buffer {
  return Buffer.concat([varint(content.length), content]);
}

/** A view of the bytes of a field; the position is then behind them. */
function bytesOf(reader: WireReader): Buffer {
  const end = reader.lengthEnd();
  const { buffer, position } = reader;
  reader.position = end;
  return Buffer.from(buffer.buffer, buffer.byteOffset + position, end - position);
}

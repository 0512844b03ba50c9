import { FlowctlError } from "../foundation/errors.ts";

/** google.protobuf.Timestamp and Duration as proto-loader gives them: absent messages are null. */
export interface TimeMessage {
  readonly seconds: number;
  readonly nanos: number;
}

/** Milliseconds (since 1970, or of a duration) to the message. 0 stands for "not known" and stays absent. */
export function toTime(milliseconds: number | undefined): TimeMessage | null {
  if (milliseconds === undefined || milliseconds === 0) return null;
  const seconds = Math.floor(milliseconds / 1000);
  return { seconds, nanos: Math.round((milliseconds - seconds * 1000) * 1_000_000) };
}

/** The message to milliseconds; 0 when it is absent. */
export function fromTime(message: TimeMessage | null | undefined): number {
  return message == null ? 0 : message.seconds * 1000 + message.nanos / 1_000_000;
}

/**
 * One protobuf enum against one TypeScript union: `COMPONENT_STATE_HEALTHY` is `healthy` with the prefix
 * `COMPONENT_STATE`. What is unspecified or unknown reads as undefined.
 */
export interface EnumCodec<T extends string> {
  encode(value: T): string;
  decode(name: string): T | undefined;
  /** Like `decode`; throws `protocol/invalid-message` naming `field` where it gives undefined. */
  require(name: string, field: string): T;
}

export function enumCodec<T extends string>(prefix: string, values: readonly T[]): EnumCodec<T> {
  const byName = new Map(values.map((value) => [nameOf(prefix, value), value]));
  return {
    encode: (value) => nameOf(prefix, value),
    decode: (name) => byName.get(name),
    require(name, field) {
      const value = byName.get(name);
      if (value === undefined) throw invalidMessage(field, `invalid ${field}: ${name}`);
      return value;
    },
  };
}

/** A message that lacks what it must have, or has what makes no sense. */
export function invalidMessage(path: string, message: string): FlowctlError {
  return new FlowctlError({ code: "protocol/invalid-message", kind: "invalid", message, path });
}

function nameOf(prefix: string, value: string): string {
  return `${prefix}_${value.toUpperCase()}`;
}

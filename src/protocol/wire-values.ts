import { FlowctlError } from "../foundation/errors.ts";

/** google.protobuf.Timestamp and Duration as messages have them: absent messages are null. */
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

/** A message that lacks what it must have, or has what makes no sense. */
export function invalidMessage(path: string, message: string): FlowctlError {
  return new FlowctlError({ code: "protocol/invalid-message", kind: "invalid", message, path });
}

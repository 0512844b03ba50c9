import { FlowctlError, messageOf } from "../foundation/errors.ts";

/** A position as it was when the event was emitted, whatever its author does to the object later. */
export type KeptPosition = string | number | boolean | null | PositionText;

/** A list or an object, as JSON. */
export class PositionText {
  readonly json: string;

  constructor(json: string) {
    this.json = json;
  }
}

/** Throws FlowctlError `sdk/position-invalid` where JSON has nothing for it: what would be stored is not where to go on. */
export function keepPosition(position: unknown): KeptPosition {
  switch (typeof position) {
    case "string":
    case "boolean":
      return position;
    case "number":
      if (Number.isFinite(position)) return position;
      throw invalid(String(position));
    case "object":
      return position === null ? null : new PositionText(jsonOf(position));
    default:
      throw invalid(typeof position === "undefined" ? "undefined" : `a ${typeof position}`);
  }
}

/** As it is stored. */
export function storedText(position: KeptPosition): string {
  return position instanceof PositionText ? position.json : JSON.stringify(position);
}

/** As it is in an event's id. */
export function idText(position: KeptPosition): string {
  return position instanceof PositionText ? position.json : String(position);
}

/** As its author knows it; what is not plain text, number or the like is a new object. */
export function positionOf(position: KeptPosition): unknown {
  return position instanceof PositionText ? JSON.parse(position.json) : position;
}

function jsonOf(position: object): string {
  try {
    // What has a `toJSON` may have nothing to say.
    const json = JSON.stringify(position) as string | undefined;
    if (json !== undefined) return json;
  } catch (error) {
    throw invalid("an object that JSON cannot hold", error);
  }
  throw invalid("an object that is nothing in JSON");
}

function invalid(what: string, cause?: unknown): FlowctlError {
  return new FlowctlError({
    code: "sdk/position-invalid",
    kind: "invalid",
    message: `the position of an event is ${what}${cause === undefined ? "" : `: ${messageOf(cause)}`}`,
    fix: "Emit each event with a position that JSON can hold, such as a number, a text or an object of these",
    ...(cause === undefined ? {} : { cause }),
  });
}

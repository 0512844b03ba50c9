import { createHash } from "node:crypto";
import { type FileEvent, readEventLine } from "./event-line.ts";

/** Metadata of a dead letter, as the component that gave it up wrote it. */
export const deadLetterKey = {
  reason: "flowctl.dead_letter.reason",
  component: "flowctl.dead_letter.component",
  upstream: "flowctl.dead_letter.upstream",
  attempts: "flowctl.dead_letter.attempts",
  time: "flowctl.dead_letter.time",
} as const;

const prefix = "flowctl.dead_letter.";

/** An event that a component could not process, from a file in the event format. */
export interface DeadLetter {
  /** The same for the same line, and another one for every other letter: 16 hex digits. */
  readonly key: string;
  /** The event as it came to the component, without what makes it a dead letter. */
  readonly event: FileEvent;
  readonly reason: string;
  /** The component that could not process it. */
  readonly component: string;
  /** The neighbour that the component had it from; empty where the letter does not say. */
  readonly upstream: string;
  readonly attempts: number;
  /** When it was given up, as ISO 8601. */
  readonly time: string;
}

/** Whether an event is a dead letter. */
export function isDeadLetter({ metadata }: Pick<FileEvent, "metadata">): boolean {
  return metadata[deadLetterKey.component] !== undefined;
}

/** The dead letter that a line of a file holds; undefined for every other line. */
export function readDeadLetter(line: string): DeadLetter | undefined {
  const event = readEventLine(line);
  const component = event?.metadata[deadLetterKey.component];
  if (event === undefined || component === undefined) return undefined;
  const { metadata } = event;
  const own = Object.entries(metadata).filter(([key]) => !key.startsWith(prefix));
  return {
    key: createHash("sha256").update(line).digest("hex").slice(0, 16),
    event: { ...event, metadata: Object.fromEntries(own) },
    reason: metadata[deadLetterKey.reason] ?? "",
    component,
    upstream: metadata[deadLetterKey.upstream] ?? "",
    attempts: Number(metadata[deadLetterKey.attempts] ?? 1),
    time: metadata[deadLetterKey.time] ?? "",
  };
}

import type { BufferSpec } from "../../protocol/records.ts";
import { type Limits, UNLIMITED } from "../limits.ts";

/**
 * How far one group may hold up the component's log: by the component's own limits, or by the buffer in memory that its input
 * asks for. Counts what the group owes an acknowledgement of in that log.
 */
export class GroupBudget {
  private readonly usual: Limits;
  private limits: Limits;
  private isLossy = false;
  private events = 0;
  private bytes = 0;

  constructor(usual: Limits) {
    this.usual = usual;
    this.limits = usual;
  }

  /** @param buffer The buffer of the input; one on disk has limits of its own. */
  redefine(buffer: BufferSpec | undefined): void {
    this.isLossy = buffer !== undefined && buffer.whenFull !== "block";
    this.limits = buffer?.type === "memory" ? limitsOf(buffer) : this.usual;
  }

  /** Events that the group owes an acknowledgement of. */
  get outstanding(): number {
    return this.events;
  }

  /** What may be published before the group holds everybody up; nothing once it is zero or less. One that drops never does. */
  get room(): Limits {
    if (this.isLossy) return UNLIMITED;
    const { maxEvents, maxBytes } = this.limits;
    return { maxEvents: maxEvents - this.events, maxBytes: maxBytes - this.bytes };
  }

  take(events: number, bytes: number): void {
    this.events += events;
    this.bytes += bytes;
  }

  /** So many events, of so many bytes together, are done. */
  release(events: number, bytes: number): void {
    this.events -= events;
    this.bytes -= bytes;
  }
}

/** What a buffer may hold. */
export function limitsOf({ maxEvents, maxBytes }: BufferSpec): Limits {
  return {
    maxEvents: maxEvents === 0 ? Number.POSITIVE_INFINITY : maxEvents,
    maxBytes: maxBytes === 0 ? Number.POSITIVE_INFINITY : maxBytes,
  };
}

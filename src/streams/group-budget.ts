import type { BufferSpec } from "../protocol/records.ts";

export interface Limits {
  readonly maxEvents: number;
  readonly maxBytes: number;
}

export const UNLIMITED: Limits = { maxEvents: Number.POSITIVE_INFINITY, maxBytes: Number.POSITIVE_INFINITY };

/**
 * How far one group may fall behind: by the component's own limits, or by the buffer that its input asks for. Counts what
 * the group was given and has not acknowledged, and what was dropped instead.
 */
export class GroupBudget {
  dropped = 0;
  private readonly usual: Limits;
  private limits: Limits;
  private policy: BufferSpec["whenFull"];
  private events = 0;
  private bytes = 0;

  constructor(buffer: BufferSpec | undefined, usual: Limits) {
    this.usual = usual;
    this.limits = limitsOf(buffer, usual);
    this.policy = buffer?.whenFull ?? "block";
  }

  redefine(buffer: BufferSpec | undefined): void {
    this.limits = limitsOf(buffer, this.usual);
    this.policy = buffer?.whenFull ?? "block";
  }

  get whenFull(): BufferSpec["whenFull"] {
    return this.policy;
  }

  get isFull(): boolean {
    return this.events >= this.limits.maxEvents || this.bytes >= this.limits.maxBytes;
  }

  /** Events that the group was given and has not acknowledged. */
  get outstanding(): number {
    return this.events;
  }

  /** What may be published before the group holds everybody up. One that drops never does. */
  get room(): Limits {
    if (this.policy !== "block") return UNLIMITED;
    const { maxEvents, maxBytes } = this.limits;
    return { maxEvents: maxEvents - this.events, maxBytes: maxBytes - this.bytes };
  }

  /** Counts in what a group that blocks was given meanwhile. */
  take(events: number, bytes: number): void {
    this.events += events;
    this.bytes += bytes;
  }

  /** Counts an event in, or counts it as dropped: false. A group that blocks takes everything: the caller waits for room. */
  admit(size: number): boolean {
    if (this.policy !== "block" && this.isFull) {
      this.dropped++;
      return false;
    }
    this.events++;
    this.bytes += size;
    return true;
  }

  /** So many events, of so many bytes together, are done. */
  release(events: number, bytes: number): void {
    this.events -= events;
    this.bytes -= bytes;
  }
}

function limitsOf(buffer: BufferSpec | undefined, usual: Limits): Limits {
  if (buffer === undefined) return usual;
  return {
    maxEvents: buffer.maxEvents === 0 ? Number.POSITIVE_INFINITY : buffer.maxEvents,
    maxBytes: buffer.maxBytes === 0 ? Number.POSITIVE_INFINITY : buffer.maxBytes,
  };
}

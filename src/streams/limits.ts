/** How much may be under way, in events and in bytes of encoded events; each at least 0. */
export interface Limits {
  readonly maxEvents: number;
  readonly maxBytes: number;
}

export const UNLIMITED: Limits = { maxEvents: Number.POSITIVE_INFINITY, maxBytes: Number.POSITIVE_INFINITY };

export interface BackoffOptions {
  /** Delay before the first retry, in milliseconds. */
  readonly initialMs: number;
  readonly maxMs: number;
  /** Growth per retry; default 2. */
  readonly factor?: number;
  /** Source of randomness in [0, 1); default Math.random. */
  readonly random?: () => number;
}

/**
 * The delay before retry number `attempt` (from 1), in milliseconds: exponential, capped, with full jitter in its upper
 * half, so that many clients that failed together do not come back together.
 */
export function backoffDelay(attempt: number, options: BackoffOptions): number {
  const { initialMs, maxMs, factor = 2, random = Math.random } = options;
  const ceiling = Math.min(maxMs, initialMs * factor ** Math.max(0, attempt - 1));
  return ceiling / 2 + (random() * ceiling) / 2;
}

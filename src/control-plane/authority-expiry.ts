import { EXPIRES_SOON_MS } from "../drivers/driver.ts";
import type { Clock } from "../foundation/clock.ts";
import type { Logger } from "../foundation/logger.ts";
import { type Authority, chainExpiry } from "../identity/authority.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * Says once a day, from 30 days before on, when the authority expires that has signed the pipeline's: nobody within the pipeline notices by
 * themselves. Resolves when the signal fires, or at once where nobody has signed it.
 */
export async function warnBeforeExpiry(
  authority: Authority,
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
  signal: AbortSignal,
): Promise<void> {
  const until = chainExpiry(authority);
  while (until !== undefined && !signal.aborted) {
    const left = until - clock.now();
    if (left < EXPIRES_SOON_MS) {
      const what = left > 0 ? "is about to expire" : "has expired, so that nobody outside trusts what runs here";
      log.warn(`the authority that signs the one of this pipeline ${what}`, {
        expires: new Date(until).toISOString(),
        fix: "have it made again, and give it with `flowctl up --authority FILE`",
      });
    }
    await clock.sleep(DAY_MS, signal).catch(() => undefined);
  }
}

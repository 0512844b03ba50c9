import { setMaxListeners } from "node:events";

/** A signal that fires when one of others does, until it is let go of. */
export interface LinkedSignal {
  readonly signal: AbortSignal;
  /** It fires no more, and the others keep nothing of it. Idempotent. */
  release(): void;
}

/**
 * A signal that fires with the first of `signals`, with its reason; at once when one has fired. To be let go of when nobody
 * waits for it any more. In place of `AbortSignal.any` where one of
 * the others lasts: Node.js 20 keeps 1.2 kB for each signal that was made of one, for as long as that one lasts.
 */
export function linkedSignal(...signals: readonly AbortSignal[]): LinkedSignal {
  const controller = new AbortController();
  const release = (): void => {
    for (const signal of signals) signal.removeEventListener("abort", fire);
  };
  function fire(): void {
    release();
    controller.abort(signals.find(({ aborted }) => aborted)?.reason);
  }
  if (signals.some(({ aborted }) => aborted)) fire();
  else {
    for (const signal of signals) {
      // As many as there are at once: each of them goes.
      setMaxListeners(0, signal);
      signal.addEventListener("abort", fire, { once: true });
    }
  }
  return { signal: controller.signal, release };
}

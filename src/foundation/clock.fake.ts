import { type Clock, cancelled } from "./clock.ts";

/** A clock for tests: time passes only by `advance`, which runs everything that became due, in order. */
export interface FakeClock extends Clock {
  advance(ms: number): Promise<void>;
  /** Sets the machine's clock forwards, or back: no time passes. */
  jump(ms: number): void;
  /** How many sleepers wait. */
  readonly sleeping: number;
}

interface Sleeper {
  readonly due: number;
  readonly wake: () => void;
}

export function fakeClock(start = 0): FakeClock {
  let time = start;
  let jumped = 0;
  let sleepers: Sleeper[] = [];
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 20; i++) await Promise.resolve();
  };
  return {
    now: () => time + jumped,
    elapsed: () => time,
    jump: (ms) => {
      jumped += ms;
    },
    get sleeping() {
      return sleepers.length;
    },
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(cancelled(signal));
        const onAbort = (): void => {
          sleepers = sleepers.filter((other) => other !== sleeper);
          reject(cancelled(signal));
        };
        const wake = (): void => {
          signal?.removeEventListener("abort", onAbort);
          resolve();
        };
        const sleeper: Sleeper = { due: time + ms, wake };
        sleepers.push(sleeper);
        signal?.addEventListener("abort", onAbort, { once: true });
      }),
    async advance(ms) {
      const end = time + ms;
      for (;;) {
        await settle();
        const next = sleepers.filter((s) => s.due <= end).sort((a, b) => a.due - b.due)[0];
        if (next === undefined) break;
        time = Math.max(time, next.due);
        sleepers = sleepers.filter((s) => s !== next);
        next.wake();
      }
      time = end;
      await settle();
    },
  };
}

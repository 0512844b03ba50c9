import type { Clock } from "../foundation/clock.ts";

/** What is no jump, in milliseconds: a clock that is kept right goes a little faster or slower for a while. */
const NO_JUMP_MS = 1_000;

/**
 * The same clock, which calls `onJump` when the machine's clock was set (forwards, or back by a negative number of
 * milliseconds, or it slept) before anybody reads a time that comes after that. Whoever remembers times moves them by
 * so much: then nothing has lasted longer, or begins later, than it does.
 */
export function tellingJumps(clock: Clock, onJump: (ms: number) => void): Clock {
  let between = clock.now() - clock.elapsed();
  return {
    now: () => {
      const now = clock.now();
      const jump = now - clock.elapsed() - between;
      if (Math.abs(jump) < NO_JUMP_MS) return now;
      // Before it is told: whoever hears of it reads the time as well.
      between += jump;
      onJump(jump);
      return now;
    },
    elapsed: () => clock.elapsed(),
    sleep: (ms, signal) => clock.sleep(ms, signal),
  };
}

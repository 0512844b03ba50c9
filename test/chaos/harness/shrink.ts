/**
 * The smallest list of steps it finds that still fails: leaves out halves, then quarters, down to single steps. Ends after
 * `maxTries` replays. What fails by chance may be left out wrongly, which costs size and never truth: the result has failed.
 */
export async function shrink<T>(
  steps: readonly T[],
  fails: (candidate: readonly T[]) => Promise<boolean>,
  maxTries: number,
): Promise<readonly T[]> {
  let best = steps;
  let tries = 0;
  for (let size = Math.ceil(best.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let start = best.length - size; start > -size; ) {
      const from = Math.max(0, start);
      const candidate = [...best.slice(0, from), ...best.slice(start + size)];
      if (candidate.length < best.length) {
        if (tries >= maxTries) return best;
        tries++;
        if (await fails(candidate)) best = candidate;
      }
      start = Math.min(from, best.length) - size;
    }
  }
  return best;
}

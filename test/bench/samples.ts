/** What was measured of one contender: the samples in the unit of its row. */
export interface Measured {
  readonly name: string;
  readonly samples: readonly number[];
}

/** One contender: `run` does the work once and resolves with what it measured. */
export interface Contender {
  readonly name: string;
  run(round: number): Promise<number>;
}

/**
 * Measures all contenders side by side: each round runs every one once, in an order that turns from round to round, so
 * that whatever slows the machine meanwhile slows them alike. The first round warms up and does not count.
 */
export async function interleave(contenders: readonly Contender[], rounds: number): Promise<readonly Measured[]> {
  const samples = contenders.map((): number[] => []);
  for (let round = 0; round <= rounds; round += 1) {
    for (let step = 0; step < contenders.length; step += 1) {
      const index = (round + step) % contenders.length;
      const value = await contenders[index]!.run(round);
      if (round > 0) samples[index]!.push(value);
    }
  }
  return contenders.map(({ name }, index) => ({ name, samples: samples[index]! }));
}

export function median(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Milliseconds that `work` takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

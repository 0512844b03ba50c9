import type { Contender } from "../samples.ts";
import type { Programs } from "./programs.ts";
import { type RunOptions, type RunResult, runParts, slowestSink } from "./run-parts.ts";

/** What a benchmark of streams is told: `scale` makes every count of events so many times larger. */
export interface StreamBench {
  readonly rounds: number;
  readonly scale: number;
}

/**
 * A contender that runs the programs and measures events per second at the slowest sink.
 *
 * @param onResult gets whatever else a run has to say, of the rounds that count.
 */
export function streaming(
  programs: Programs,
  name: string,
  options: RunOptions,
  onResult: (result: RunResult) => void = () => undefined,
): Contender {
  return {
    name,
    run: async (round) => {
      const result = await runParts(programs, options);
      if (round > 0) onResult(result);
      return slowestSink(result);
    },
  };
}

/** So many events, scaled, and enough for a measurement in any case. */
export function scaled(count: number, scale: number): number {
  return Math.max(1_000, Math.ceil(count * scale));
}

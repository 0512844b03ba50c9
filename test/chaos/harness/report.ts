import type { RoundResult } from "./round.ts";
import { describe, kindOf, type Step } from "./steps.ts";

/** What many runs have shown, as text: counts of what was done, of events, and seconds until events flowed again. */
export function report(rounds: readonly RoundResult[]): string {
  const kinds = new Map<string, { done: number; refused: number; skipped: number; recovered: number[] }>();
  for (const { step, outcome, how, recoveredMs } of rounds.flatMap(({ done }) => done)) {
    const names = [kindOf(step), ...(how === undefined || how === "once" ? [] : [`up ${how}`])];
    for (const name of names) {
      const kind = kinds.get(name) ?? { done: 0, refused: 0, skipped: 0, recovered: [] };
      kinds.set(name, kind);
      kind[outcome]++;
      if (recoveredMs !== undefined) kind.recovered.push(recoveredMs);
    }
  }
  const lines = ["what                  done  refused  skipped  events again after: median, worst (of)"];
  for (const [name, { done, refused, skipped, recovered }] of [...kinds].sort()) {
    const cells = [name.padEnd(20), ...[done, refused, skipped].map((it) => String(it).padStart(6))];
    lines.push(`${cells.join("  ")}  ${secondsOf(recovered)}`);
  }
  const sum = (of: (round: RoundResult) => number): number => rounds.reduce((total, round) => total + of(round), 0);
  const wrong = (what: string): number =>
    sum(({ verdict }) => verdict.wrong.reduce((total, it) => total + (it.what === what ? it.count : 0), 0));
  const failed = rounds.filter(({ problems }) => problems.length > 0);
  const recovered = rounds.flatMap(({ done }) => done.flatMap(({ recoveredMs }) => recoveredMs ?? []));
  return [
    ...lines,
    `all together: ${secondsOf(recovered)}`,
    `minutes ${(sum(({ ms }) => ms) / 60_000).toFixed(0)}, runs ${rounds.length}, failed ${failed.length}${failed.map(({ seed }) => ` (seed ${seed})`).join("")}`,
    `events sent ${sum(({ verdict }) => verdict.sent)}, arrivals demanded ${sum(({ verdict }) => verdict.demanded)}, ` +
      `lost ${wrong("lost")}, doubled ${wrong("doubled")}, repeated where that is allowed ${sum(({ verdict }) => verdict.repeated)}`,
    `up called again as it had failed ${sum(({ calledAgain }) => calledAgain)}`,
    `taken at the second attempt ${sum(({ verdict }) => verdict.retried)}, dead letters ${sum(({ verdict }) => verdict.deadLetters)}`,
  ].join("\n");
}

function secondsOf(times: readonly number[]): string {
  if (times.length === 0) return "-";
  const sorted = times.toSorted((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)]!;
  return `${(median / 1000).toFixed(1)} s, ${(sorted.at(-1)! / 1000).toFixed(1)} s (${sorted.length})`;
}

/** How to do the same again: the steps, and the command line that takes them. */
export function script(driver: string, seed: number, steps: readonly Step[]): string {
  return [
    ...steps.map((step, index) => `  ${index + 1}. ${describe(step)}`),
    `  npm run chaos -- --driver ${driver} --seed ${seed} --steps '${JSON.stringify(steps)}'`,
  ].join("\n");
}

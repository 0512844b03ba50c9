/**
 * The candidate closest to `word`, when it is close enough that it was probably meant: at most a third of its letters
 * wrong, swapped, missing or too many, and never the only one.
 */
export function closest(word: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  const lower = word.toLowerCase();
  for (const candidate of candidates) {
    if (candidate === word) continue;
    const length = Math.max(word.length, candidate.length);
    const limit = length === 1 ? 0 : Math.max(1, Math.floor(length / 3));
    if (Math.abs(word.length - candidate.length) > limit) continue;
    const distance = editDistance(lower, candidate.toLowerCase());
    if (distance <= limit && distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Damerau-Levenshtein distance with adjacent transpositions. */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let value = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        value = Math.min(value, (beforeLast[j - 2] ?? 0) + 1);
      }
      row.push(value);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}

/** `Did you mean "x"? ` or an empty text, then what else there is to say. */
export function suggestion(word: string, candidates: Iterable<string>, otherwise: string): string {
  const guess = closest(word, candidates);
  return guess === undefined ? otherwise : `Did you mean \`${guess}\`?`;
}

/** `a`, or `one of a, b and c`: to follow "Use". */
export function oneOf(items: readonly string[]): string {
  return items.length === 1 ? `\`${items[0]}\`` : `one of ${listed(items)}`;
}

/** `a, b and c`; cut after `most` items. */
export function listed(items: Iterable<string>, most = 30): string {
  const all = [...items];
  const shown = all.slice(0, most);
  if (all.length > most) return `${shown.join(", ")} and ${all.length - most} more`;
  if (shown.length < 2) return shown.join("");
  return `${shown.slice(0, -1).join(", ")} and ${shown.at(-1)}`;
}

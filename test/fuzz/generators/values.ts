import type { Random } from "../../chaos/harness/random.ts";

const TEXTS = [
  "",
  " ",
  "x",
  "..",
  "../../../../etc/passwd",
  "/etc/passwd",
  "-rf",
  "--privileged",
  "$(id)",
  "`id`",
  ";id",
  "a\nb",
  "a\r\nX: y",
  "\0",
  "a\0b",
  "%00",
  "%",
  "__proto__",
  "constructor",
  "toString",
  "\ufeff",
  "\u2028",
  "\u202e",
  "é",
  "NaN",
  "1e999",
  "[::1]:1",
  "http://x/",
  "host:99999",
];

/** A text that whoever reads it may take for something else, or that is too long. */
export function hostileText(random: Random): string {
  const length = random.weighted({ short: 20, some: 6, long: 3, huge: 0.2 });
  if (length === "short") return random.pick(TEXTS);
  const most = { some: 300, long: 6_000, huge: 300_000 }[length];
  const unit = random.pick(["x", "é", "\u{1f30d}", "\0", "\\", '"', "%", "../", "\ud83d\udca5"]);
  // The byte before shifts where whoever cuts it cuts.
  return "y".repeat(random.below(3)) + unit.repeat(1 + random.below(Math.ceil(most / unit.length)));
}

/** A number at, or beside, where representations end. */
export function hostileNumber(random: Random): number {
  const power = 2 ** random.pick([0, 1, 7, 8, 15, 16, 31, 32, 52, 53]);
  return Math.min(Number.MAX_SAFE_INTEGER, Math.max(0, power + random.between(-1, 1)));
}

// Looks through the lines that are about to be committed for what looks like a secret, and for numbers of issues. Exit code 1 when
// there are any.
import { execFileSync } from "node:child_process";

const forbidden = [
  ["a private key", /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----/],
  ["an access key", /\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/],
  [
    "a token",
    /\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{22,}|npm_[A-Za-z0-9]{36}|glpat-[\w-]{20,}|xox[abprs]-[\w-]{10,})/,
  ],
  ["a password in a URL", /\b[a-z][a-z0-9+.-]*:\/\/[^\s/:@"'`$]+:(?!password|secret|\*)[^\s/:@"'`$<{]{12,}@/],
  ["the number of an issue", /\b(?:issues?|bugs?|fix(?:e[sd])?|close[sd]?|resolve[sd]?|see|gh)[ :-]*#\d+\b/i],
];

const args = ["diff", "--cached", "--unified=0", "--no-color", "--no-ext-diff", "--diff-filter=ACMR"];
const diff = execFileSync("git", args, { encoding: "utf8", maxBuffer: 256 * 1024 * 1024 });
let file = "";
let line = 0;
for (const text of diff.split("\n")) {
  const head = /^\+\+\+ b\/(.*)$/.exec(text);
  const hunk = /^@@ -\S+ \+(\d+)/.exec(text);
  if (head) file = head[1];
  else if (hunk) line = Number(hunk[1]);
  else if (text.startsWith("+")) {
    for (const [what, pattern] of forbidden) {
      if (!pattern.test(text)) continue;
      console.error(`${file}:${line}: ${what}`);
      process.exitCode = 1;
    }
    line += 1;
  }
}

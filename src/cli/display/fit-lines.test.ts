import { expect, it } from "vitest";
import { fitLines } from "./fit-lines.ts";

const terminal = (columns: number) => ({ isTTY: true, columns });

it("breaks a long line between words, and goes on under its last column", () => {
  const plan = "~ replace component/alert-1  its environment has changed: SMTP_HOST is another one\n1 to replace";
  expect(fitLines(plan, terminal(60))).toBe(
    [
      "~ replace component/alert-1  its environment has changed:",
      "                             SMTP_HOST is another one",
      "1 to replace",
    ].join("\n"),
  );
});

it("goes on under the indent of a note, and two spaces further in where there is none", () => {
  expect(fitLines("  what is in flight is delivered first", terminal(24))).toBe(
    "  what is in flight is\n  delivered first",
  );
  expect(fitLines("what is in flight is delivered first", terminal(24))).toBe(
    "what is in flight is\n  delivered first",
  );
});

it("leaves alone what fits, and what no terminal shows", () => {
  const long = "a line that is longer than ten characters";
  expect(fitLines(long, { isTTY: false, columns: 10 })).toBe(long);
  expect(fitLines(long, { isTTY: true, columns: 0 })).toBe(long);
  expect(fitLines("short\n\nlines", terminal(10))).toBe("short\n\nlines");
});

it("joins no words, wherever they end", () => {
  expect(fitLines("ab cd ef gh", terminal(8))).toBe("ab cd\n  ef gh");
});

it("counts characters and not their colours", () => {
  const coloured = `\u001b[33mwarning:\u001b[39m the file changed`;
  expect(fitLines(coloured, terminal(25))).toBe(coloured);
  expect(fitLines(coloured, terminal(20))).toBe("\u001b[33mwarning:\u001b[39m the file\n  changed");
});

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * What a page of the tutorial has its reader do. CONTRIBUTING.md has the conventions:
 * - a block after a paragraph that ends with "`name`:" is that file, or, as `diff`, an edit of it;
 * - `sh` is typed; `sh again` is typed until it prints what is shown;
 * - `text` after it is what is printed; in `text like` numbers, times and the width of columns vary.
 */
export type Step =
  | { readonly kind: "file"; readonly at: string; readonly file: string; readonly text: string }
  | { readonly kind: "edit"; readonly at: string; readonly file: string; readonly diff: string }
  | {
      readonly kind: "command";
      readonly at: string;
      readonly command: string;
      readonly again: boolean;
      readonly printed?: { readonly text: string; readonly like: boolean };
    };

export interface Page {
  readonly name: string;
  readonly title: string;
  readonly steps: readonly Step[];
}

/** Block by block: the paragraph before it, its info string, its text. */
const BLOCK = /^```([^\n]*)\n(.*?)^```$/gms;

/** The pages of the tutorial, `01-….md` and so on, in the order of their names. */
export function tutorialPages(folder: string): readonly Page[] {
  return readdirSync(folder)
    .filter((name) => /^\d.*\.md$/.test(name))
    .sort()
    .map((name) => pageOf(name, readFileSync(join(folder, name), "utf8")));
}

/** The steps of one page; throws at a block that is none of what a tutorial has. */
export function pageOf(name: string, text: string): Page {
  const steps: Step[] = [];
  let end = 0;
  for (const match of text.matchAll(BLOCK)) {
    const [whole, info = "", body = ""] = match;
    const before = text.slice(end, match.index).trimEnd();
    const at = `${name}:${text.slice(0, match.index).split("\n").length}`;
    end = match.index + whole.length;
    const file = /`([\w./-]+)`:$/.exec(before)?.[1];
    const [language, mark] = info.split(" ");
    const last = steps.at(-1);
    if (file !== undefined && language === "diff") steps.push({ kind: "edit", at, file, diff: body });
    else if (file !== undefined && language !== "sh") steps.push({ kind: "file", at, file, text: body });
    else if (language === "sh") steps.push({ kind: "command", at, command: body, again: mark === "again" });
    else if (language === "text" && last?.kind === "command" && last.printed === undefined)
      steps[steps.length - 1] = { ...last, printed: { text: body, like: mark === "like" } };
    else throw new Error(`${at}: the block \`${info}\` is no file, edit, command or output of one`);
  }
  return { name, title: /^# (.+)$/m.exec(text)?.[1] ?? name, steps };
}

/** The text after the edit: the lines with a blank or a minus in front, one after the other, become those with a blank or a plus. */
export function edited(text: string, diff: string): string {
  const side = (sign: "-" | "+"): string =>
    diff
      .split("\n")
      .filter((line) => line === "" || line.startsWith(" ") || line.startsWith(sign))
      .map((line) => line.slice(1))
      .join("\n");
  const before = side("-");
  const places = text.split(before).length - 1;
  if (places !== 1) throw new Error(`the lines that the edit is about are in the file ${places} times:\n${before}`);
  return text.replace(before, () => side("+"));
}

/** Whether `said` is what is shown. Lines of the tutorial that are only `…` stand for any lines, `…` within a line for any text. */
export function isShown({ text, like }: { readonly text: string; readonly like: boolean }, said: string): boolean {
  const patterns = text
    .trimEnd()
    .split("\n")
    .map((line) => (line.trim() === "…" ? "(?:.*\n)*" : `${patternOf(line.trimEnd(), like)}\n`));
  const plain = said.replaceAll(/[ \t]+$/gm, "").trimEnd();
  return new RegExp(`^${patterns.join("")}$`).test(`${plain}\n`);
}

/** A duration, a number, and the width of a column; numbers in names of instances and shares such as 3/3 are none. */
const VARYING = /…|(?<duration>\d[\d.,]*(?:ms|[smhd])\b(?: \d+[smh]\b)*)|\d+\/\d+|(?<![a-z]-)(?<number>\d[\d.,]*)| +/g;

function patternOf(line: string, like: boolean): string {
  let pattern = "";
  let end = 0;
  for (const { 0: part, index, groups } of line.matchAll(like ? VARYING : /…/g)) {
    pattern += escaped(line.slice(end, index));
    if (part === "…") pattern += ".*";
    else if (groups?.duration !== undefined) pattern += String.raw`\d[\d.,]*(?:ms|[smhd])(?: \d+[smh])*`;
    else if (groups?.number !== undefined) pattern += String.raw`\d[\d.,]*`;
    else pattern += part.startsWith(" ") ? " +" : escaped(part);
    end = index + part.length;
  }
  return pattern + escaped(line.slice(end));
}

function escaped(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

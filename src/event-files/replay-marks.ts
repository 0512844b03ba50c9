import { open, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { makeLastingFolder, syncFolder } from "../foundation/durable-file.ts";
import type { DeadLetter } from "./dead-letter.ts";

/** That a dead letter was sent again and acknowledged. One a line, as JSON, in a file beside the letters. */
export interface ReplayMark {
  readonly letter: string;
  readonly id: string;
  /** ISO 8601. */
  readonly replayed_at: string;
}

/** Where the marks of a file of dead letters are; of one file for each instance, those of all of them. */
export function marksPathOf(path: string): string {
  return `${path.replaceAll("{instance}", "all")}.replayed`;
}

/** The time of replay by key of the letter; empty when there is no file of marks. What is no mark is passed over. */
export async function readMarks(path: string): Promise<ReadonlyMap<string, string>> {
  const marks = new Map<string, string>();
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return marks;
    throw error;
  }
  for (const line of text.split("\n")) {
    const mark = parse(line);
    if (mark !== undefined) marks.set(mark.letter, mark.replayed_at);
  }
  return marks;
}

/** Marks letters as replayed. When it resolves the marks survive a power cut. */
export async function appendMarks(
  path: string,
  letters: readonly { readonly key: DeadLetter["key"]; readonly id: string }[],
  now: Date,
): Promise<void> {
  if (letters.length === 0) return;
  await makeLastingFolder(dirname(path));
  const file = await open(path, "a+");
  try {
    const lines = letters.map(({ key, id }) => {
      const mark: ReplayMark = { letter: key, id, replayed_at: now.toISOString() };
      return `${JSON.stringify(mark)}\n`;
    });
    // After a crash in the middle of a line the next one has to begin on a line of its own.
    const { size } = await file.stat();
    const torn = size > 0 && (await file.read(Buffer.alloc(1), 0, 1, size - 1)).buffer[0] !== 0x0a;
    await file.appendFile(`${torn ? "\n" : ""}${lines.join("")}`);
    await file.datasync();
    if (size === 0) await syncFolder(dirname(path));
  } finally {
    await file.close();
  }
}

function parse(line: string): ReplayMark | undefined {
  try {
    const value = JSON.parse(line) as Partial<ReplayMark> | null;
    return typeof value?.letter === "string" ? { id: "", replayed_at: "", ...value, letter: value.letter } : undefined;
  } catch {
    return undefined;
  }
}

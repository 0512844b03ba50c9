import { createReadStream } from "node:fs";
import { type DeadLetter, readDeadLetter } from "./dead-letter.ts";

/** One dead letter of a file, and the line that holds it. */
export interface LetterLine {
  readonly letter: DeadLetter;
  /** Without its line break. */
  readonly line: string;
  /** Number of the line, from 1. */
  readonly number: number;
}

/**
 * The dead letters of a file, in its order, one at a time in memory. Other lines are passed over, so is a last one that is
 * still being written. Rejects with the error of the file system when the file cannot be read.
 */
export async function* readDeadLetters(path: string, signal?: AbortSignal): AsyncGenerator<LetterLine> {
  let number = 0;
  for await (const line of lines(path, signal)) {
    number++;
    const letter = readDeadLetter(line);
    if (letter !== undefined) yield { letter, line, number };
  }
}

/** What ends with a line feed; not readline, which takes further characters for ends of lines. */
async function* lines(path: string, signal: AbortSignal | undefined): AsyncGenerator<string> {
  let begun: Buffer[] = [];
  for await (const chunk of createReadStream(path, signal === undefined ? {} : { signal }) as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, start)) {
      yield Buffer.concat([...begun, chunk.subarray(start, end)]).toString("utf8");
      begun = [];
      start = end + 1;
    }
    begun.push(chunk.subarray(start));
  }
}

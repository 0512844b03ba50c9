import type { SourceEmit } from "../../../sdk/index.ts";
import type { LineEvent } from "./line-event.ts";
import { LineSplitter } from "./line-splitter.ts";
import type { FileMark, OffsetPosition } from "./position.ts";
import { readChunks } from "./read-chunks.ts";

export interface ReadLinesOptions {
  /** What the ids of the events begin with. */
  readonly name: string;
  readonly file: FileMark;
  readonly path: string;
  readonly gzip: boolean;
  readonly maxLineBytes: number;
  readonly toEvent: LineEvent;
  readonly position: OffsetPosition | undefined;
  readonly signal: AbortSignal;
}

/** Emits what the lines of a file give, from a position to the end of the file. */
export async function readLines(options: ReadLinesOptions, emit: SourceEmit<OffsetPosition>): Promise<void> {
  const { name, file, path, gzip, signal, toEvent } = options;
  const { offset, line } = options.position ?? { offset: 0, line: 0 };
  const splitter = new LineSplitter({ offset, number: line, maxBytes: options.maxLineBytes });
  for await (const chunk of readChunks({ path, gzip, from: offset })) {
    for (const one of splitter.push(chunk)) {
      if (signal.aborted) return;
      const event = toEvent(one, `${name}${one.end}`);
      if (event !== undefined) await emit(event, { offset: one.end, line: one.number, file });
    }
  }
  const last = splitter.end();
  const event = last === undefined ? undefined : toEvent(last, `${name}${last.end}`);
  if (last !== undefined && event !== undefined) await emit(event, { offset: last.end, line: last.number, file });
}

import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type CsvError, type Options, parse } from "csv-parse";
import { FlowctlError, type SourceEmit } from "../../../sdk/index.ts";
import type { BadLines } from "./bad-lines.ts";
import { castField } from "./cast-field.ts";
import { NewlineCounter } from "./newline-counter.ts";
import type { FileMark, OffsetPosition } from "./position.ts";
import { readChunks } from "./read-chunks.ts";

export interface ReadCsvOptions {
  /** What the ids of the events begin with. */
  readonly name: string;
  readonly file: FileMark;
  readonly path: string;
  readonly gzip: boolean;
  readonly delimiter: string;
  readonly cast: boolean;
  readonly type: string;
  readonly maxRecordBytes: number;
  readonly bad: BadLines;
  readonly position: OffsetPosition | undefined;
  readonly signal: AbortSignal;
}

interface ParsedRecord {
  readonly record: Record<string, unknown>;
  readonly info: { readonly bytes: number };
}

/** Emits each record of a CSV file as an object. The first record of the file names the fields. */
export async function readCsv(options: ReadCsvOptions, emit: SourceEmit<OffsetPosition>): Promise<void> {
  const { name, file, position, signal, type, bad } = options;
  const start = position ?? { offset: 0, line: 0 };
  const columns = position === undefined ? true : await fieldNames(options);
  const parser = parse({
    ...dialect(options),
    bom: start.offset === 0,
    columns,
    info: true,
    cast: options.cast ? castField : false,
    skip_records_with_error: true,
    on_skip: (error) => reportSkipped(error, start.line),
  });

  let failure: unknown;
  function reportSkipped(error: CsvError | undefined, before: number): undefined {
    try {
      bad.report(before + Number(error?.lines ?? 0), error?.message ?? "invalid CSV record");
    } catch (thrown) {
      // Thrown here it would be lost in the parser: it ends the loop below instead.
      failure ??= thrown;
    }
  }

  const newlines = new NewlineCounter(start);
  const chunks = newlines.through(readChunks({ ...options, from: start.offset }));
  const feeding = pipeline(Readable.from(chunks), parser);
  // The loop below sees the same failure; without a handler of its own it would count as unhandled meanwhile.
  feeding.catch(() => undefined);
  for await (const { record, info } of parser as AsyncIterable<ParsedRecord>) {
    if (failure !== undefined) throw failure;
    if (signal.aborted) return;
    const offset = start.offset + info.bytes;
    await emit({ id: `${name}${offset}`, type, json: record }, { offset, line: newlines.before(offset), file });
  }
  if (failure !== undefined) throw failure;
}

function dialect(options: ReadCsvOptions): Options {
  return { delimiter: options.delimiter, skip_empty_lines: true, max_record_size: options.maxRecordBytes };
}

/** The names in the first record of the file. */
async function fieldNames(options: ReadCsvOptions): Promise<string[]> {
  const parser = parse({ ...dialect(options), bom: true, to: 1 });
  const feeding = pipeline(Readable.from(readChunks({ ...options, from: 0 })), parser);
  feeding.catch(() => undefined);
  for await (const names of parser as AsyncIterable<string[]>) return names;
  throw new FlowctlError({
    code: "components/bad-document",
    kind: "invalid",
    message: `${options.path} is now empty`,
  });
}

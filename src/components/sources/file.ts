import type { Clock } from "../../foundation/clock.ts";
import type { ComponentDefinition, SourceContext, SourceEmit } from "../../sdk/index.ts";
import { defineSource } from "../../sdk/index.ts";
import { builtInVersion } from "../built-in-version.ts";
import { durationMs } from "../duration.ts";
import { BadLines } from "./file/bad-lines.ts";
import { resume } from "./file/file-mark.ts";
import { follow } from "./file/follow.ts";
import { lineEvents } from "./file/line-event.ts";
import { type FileMark, type FilePosition, isFollow, isItem, isOffset } from "./file/position.ts";
import { readCsv } from "./file/read-csv.ts";
import { readJson } from "./file/read-json.ts";
import { readLines } from "./file/read-lines.ts";
import { type FileSourceConfig, fileSourceConfig, fileSourcePartitions, isGzip } from "./file.spec.ts";

/** A replay resumes at the byte after the last acknowledged line or record. */
export function createFileSource(clock: Clock): ComponentDefinition {
  return defineSource<FileSourceConfig, FilePosition>({
    name: "file",
    version: builtInVersion,
    config: fileSourceConfig,
    partitions: ({ config }) => fileSourcePartitions(config),
    open(context) {
      const bad = new BadLines(context.config.path, context.config.on_bad_line, context.log);
      return {
        async run(emit) {
          await read(context, bad, clock, emit);
          if (bad.count > 0) context.log.warn("skipped bad lines", { lines: bad.count, path: context.config.path });
        },
      };
    },
  });
}

async function read(
  context: SourceContext<FileSourceConfig, FilePosition>,
  bad: BadLines,
  clock: Clock,
  emit: SourceEmit<FilePosition>,
): Promise<void> {
  const { config, signal, log, idPrefix } = context;
  const { path, type, format } = config;
  const gzip = isGzip(config);
  const at = <Kind extends FilePosition>(is: (position: FilePosition) => position is Kind): Kind | undefined =>
    context.position !== undefined && is(context.position) ? context.position : undefined;
  if (config.follow) {
    const maxLineBytes = config.max_line_bytes;
    const toEvent = lineEvents(format === "lines" ? format : "jsonl", type, bad, maxLineBytes);
    const pollMs = durationMs(config.poll_interval);
    const position = at(isFollow);
    return await follow({ name: idPrefix, path, maxLineBytes, toEvent, position, pollMs, clock, log, signal }, emit);
  }
  if (format === "json") {
    const { position, file } = await resume(at(isItem), { path, gzip, log });
    return await readJson(
      { name: named(idPrefix, file), file, path, gzip, type, items: config.items, position, signal },
      emit,
    );
  }
  const { position, file } = await resume(at(isOffset), { path, gzip, log });
  const name = named(idPrefix, file);
  switch (format) {
    case "csv": {
      const { delimiter, cast, max_line_bytes: maxRecordBytes } = config;
      return await readCsv(
        { name, file, path, gzip, type, delimiter, cast, maxRecordBytes, bad, position, signal },
        emit,
      );
    }
    case "jsonl":
    case "lines": {
      const maxLineBytes = config.max_line_bytes;
      const toEvent = lineEvents(format, type, bad, maxLineBytes);
      return await readLines({ name, file, path, gzip, maxLineBytes, toEvent, position, signal }, emit);
    }
  }
}

/** What the ids of a file's events begin with. */
function named(idPrefix: string, { version }: FileMark): string {
  return version === 1 ? idPrefix : `${idPrefix}${version}-`;
}

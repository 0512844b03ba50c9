import type { Clock } from "../../foundation/clock.ts";
import type { ComponentDefinition, SourceContext, SourceEmit } from "../../sdk/index.ts";
import { defineSource } from "../../sdk/index.ts";
import { builtInVersion } from "../built-in-version.ts";
import { durationMs } from "../duration.ts";
import { BadLines } from "./file/bad-lines.ts";
import { follow } from "./file/follow.ts";
import { lineEvents } from "./file/line-event.ts";
import { type FilePosition, isFollow, isItem, isOffset } from "./file/position.ts";
import { readCsv } from "./file/read-csv.ts";
import { readJson } from "./file/read-json.ts";
import { readLines } from "./file/read-lines.ts";
import { type FileSourceConfig, fileSourceConfig, isGzip } from "./file.spec.ts";
import { requireSingleInstance } from "./single-instance.ts";

/** A replay resumes at the byte after the last acknowledged line or record. */
export function createFileSource(clock: Clock): ComponentDefinition {
  return defineSource<FileSourceConfig, FilePosition>({
    name: "file",
    version: builtInVersion,
    config: fileSourceConfig,
    open(context) {
      requireSingleInstance("file", context.instance);
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

function read(
  context: SourceContext<FileSourceConfig, FilePosition>,
  bad: BadLines,
  clock: Clock,
  emit: SourceEmit<FilePosition>,
): Promise<void> {
  const { config, position, signal, log } = context;
  const { path, type, format } = config;
  const gzip = isGzip(config);
  const name = context.instance.instanceId;
  const at = <Kind extends FilePosition>(is: (position: FilePosition) => position is Kind): Kind | undefined =>
    position !== undefined && is(position) ? position : undefined;
  switch (format) {
    case "json":
      return readJson({ name, path, gzip, type, items: config.items, position: at(isItem), signal }, emit);
    case "csv": {
      const { delimiter, cast, max_line_bytes: maxRecordBytes } = config;
      return readCsv(
        { name, path, gzip, type, delimiter, cast, maxRecordBytes, bad, position: at(isOffset), signal },
        emit,
      );
    }
    case "jsonl":
    case "lines": {
      const maxLineBytes = config.max_line_bytes;
      const toEvent = lineEvents(format, type, bad, maxLineBytes);
      if (!config.follow)
        return readLines({ name, path, gzip, maxLineBytes, toEvent, position: at(isOffset), signal }, emit);
      const pollMs = durationMs(config.poll_interval);
      return follow({ name, path, maxLineBytes, toEvent, position: at(isFollow), pollMs, clock, log, signal }, emit);
    }
  }
}

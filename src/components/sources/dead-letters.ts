import { type LetterLine, readDeadLetters } from "../../event-files/read-dead-letters.ts";
import { appendMarks } from "../../event-files/replay-marks.ts";
import type { Clock } from "../../foundation/clock.ts";
import { fileFailure } from "../../foundation/file-failure.ts";
import type { ComponentDefinition, EventInit } from "../../sdk/index.ts";
import { defineSource } from "../../sdk/index.ts";
import { builtInVersion } from "../built-in-version.ts";
import { type DeadLettersConfig, deadLettersConfig, deadLettersPartitions } from "./dead-letters.spec.ts";
import { fileProblem } from "./file/file-problem.ts";

interface Position {
  /** Lines of which nothing has to be sent any more. */
  readonly line: number;
}

type Open = Pick<LetterLine, "number"> & { readonly key: string; readonly id: string };

/** Each event has the id, the maker and the time that it had before. */
export function createDeadLetters(clock: Clock): ComponentDefinition {
  return defineSource<DeadLettersConfig, Position>({
    name: "dead-letters",
    version: builtInVersion,
    config: deadLettersConfig,
    partitions: ({ config }) => deadLettersPartitions(config),
    open({ config, position, signal, log }) {
      const { path, marks } = config;
      /** Sent and not marked yet, in the order of the file. */
      let open: Open[] = [];
      const mark = async (line: number): Promise<void> => {
        const done = open.filter(({ number }) => number <= line);
        if (marks !== undefined) await keepMarks(marks, done, new Date(clock.now()));
        open = open.filter(({ number }) => number > line);
      };
      return {
        async run(emit) {
          let sent = 0;
          for await (const { letter, number } of lettersOf(path)) {
            if (signal.aborted) return;
            open.push({ number, key: letter.key, id: letter.event.id });
            if (number <= (position?.line ?? 0)) continue;
            // A crash may have come between the acknowledgement and the mark.
            if (sent === 0 && position !== undefined) await mark(position.line);
            await emit(again(letter.event), { line: number });
            sent++;
          }
          if (sent === 0 && position !== undefined) await mark(position.line);
          log.info("replayed dead letters", { path, events: sent });
        },
        committed: ({ line }) => mark(line),
      };
    },
  });
}

async function* lettersOf(path: string): AsyncIterable<LetterLine> {
  try {
    yield* readDeadLetters(path);
  } catch (error) {
    throw fileProblem(path, error);
  }
}

async function keepMarks(path: string, letters: readonly Open[], now: Date): Promise<void> {
  try {
    await appendMarks(path, letters, now);
  } catch (error) {
    throw fileFailure(error, { code: "components/file-unwritable", doing: "write", path });
  }
}

function again(event: LetterLine["letter"]["event"]): EventInit {
  const { timestamp, ...others } = event;
  return { ...others, timestamp: timestamp ?? null };
}

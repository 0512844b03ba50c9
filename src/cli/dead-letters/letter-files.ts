import { access } from "node:fs/promises";
import type { DeadLetter } from "../../event-files/dead-letter.ts";
import { readDeadLetters } from "../../event-files/read-dead-letters.ts";
import { marksPathOf, readMarks } from "../../event-files/replay-marks.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import type { Component, Pipeline } from "../../pipeline/pipeline.ts";

/** A sink for dead letters that writes them to files. */
export interface LetterSink {
  readonly id: string;
  /** Absolute; `{instance}` stands for the number of an instance. */
  readonly path: string;
  readonly replicas: number;
}

/** One dead letter where it is kept. */
export interface StoredLetter {
  readonly sink: LetterSink;
  readonly letter: DeadLetter;
  /** The line that holds it, without its line break. */
  readonly line: string;
  /** When it was acknowledged after it was sent again, as ISO 8601; undefined while it was not. */
  readonly replayedAt: string | undefined;
}

export interface LetterSelection {
  readonly component?: string | undefined;
  readonly sink?: string | undefined;
}

/**
 * The sinks whose dead letters can be read: those that `on_error` names and that are the built-in `file`, with whole
 * events. Throws `cli/no-dead-letters` when there is none, or when the one asked for is not.
 */
export function letterSinks(pipeline: Pipeline, { sink }: LetterSelection): readonly LetterSink[] {
  const targets = new Set(pipeline.components.flatMap(({ onError }) => onError.to ?? []));
  const wanted = pipeline.components.filter(({ id }) => (sink === undefined ? targets.has(id) : id === sink));
  const readable = wanted.filter((component) => targets.has(component.id) && isReadable(component));
  if (readable.length > 0) {
    return readable.map(({ id, replicas, with: settings }) => ({ id, replicas, path: String(settings.path) }));
  }
  const [first] = wanted;
  throw new FlowctlError({
    code: "cli/no-dead-letters",
    kind: "not-found",
    message: first === undefined ? nothingSaid(pipeline, sink) : whyNot(first, targets),
    fix: "Set `on_error: { action: dead_letter, to: … }` to a sink with `uses: file`",
  });
}

function isReadable({ uses, with: settings }: Component): boolean {
  return uses === "file" && settings.format !== "payload";
}

function nothingSaid({ name }: Pipeline, sink: string | undefined): string {
  if (sink !== undefined) return `${name} has no sink ${JSON.stringify(sink)}`;
  return `No component of ${name} sends dead letters to a sink`;
}

function whyNot({ id, uses }: Component, targets: ReadonlySet<string>): string {
  if (!targets.has(id)) return `No component sends dead letters to ${id}`;
  if (uses !== "file") return `The dead letters of ${id} are not in a file written by flowctl`;
  return `${id} writes payloads alone: what makes them dead letters is lost (format: payload)`;
}

/** Every letter of the sinks that the selection names, one at a time in memory, each sink's from the oldest. */
export async function* storedLetters(
  sinks: readonly LetterSink[],
  selection: LetterSelection,
  signal: AbortSignal,
): AsyncGenerator<StoredLetter> {
  for (const sink of sinks) {
    const marks = await readMarks(marksPathOf(sink.path));
    for (const path of await filesOf(sink)) {
      for await (const { letter, line } of readDeadLetters(path, signal)) {
        if (selection.component !== undefined && letter.component !== selection.component) continue;
        yield { sink, letter, line, replayedAt: marks.get(letter.key) };
      }
    }
  }
}

/** The files of a sink that exist; there may have been more instances than there are now. */
async function filesOf(sink: LetterSink): Promise<readonly string[]> {
  if (!sink.path.includes("{instance}")) return (await exists(sink.path)) ? [sink.path] : [];
  const files: string[] = [];
  for (let index = 1; ; index++) {
    const path = sink.path.replaceAll("{instance}", String(index));
    const there = await exists(path);
    if (there) files.push(path);
    else if (index >= sink.replicas) return files;
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

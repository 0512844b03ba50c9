import type { LetterSink, StoredLetter } from "./letter-files.ts";
import type { ReplayBatch } from "./replay.ts";

export interface LetterChoice {
  /** Event ids; undefined for all. */
  readonly ids: readonly string[] | undefined;
  /** Those, too, that were replayed already. */
  readonly again: boolean;
}

export interface ChosenBatch extends ReplayBatch {
  readonly ids: readonly string[];
}

/**
 * The chosen letters, those of one sink and one component together, in their order; the ids of the choice that no
 * letter has, and those of which every letter was replayed.
 */
export async function batchesOf(
  letters: AsyncIterable<StoredLetter>,
  { ids, again }: LetterChoice,
): Promise<{
  readonly batches: readonly ChosenBatch[];
  readonly missing: readonly string[];
  readonly replayedBefore: readonly string[];
}> {
  const wanted = ids === undefined ? undefined : new Set(ids);
  const missing = new Set(ids);
  const replayedBefore = new Set<string>();
  const chosen = new Set<string>();
  const batches = new Map<string, { component: string; sink: LetterSink; keys: Set<string>; ids: string[] }>();
  for await (const { sink, letter, replayedAt } of letters) {
    const { component, event, key } = letter;
    if (wanted !== undefined && !wanted.has(event.id)) continue;
    missing.delete(event.id);
    if (replayedAt !== undefined && !again) {
      if (wanted !== undefined) replayedBefore.add(event.id);
      continue;
    }
    chosen.add(event.id);
    const name = `${sink.id}/${component}`;
    const batch = batches.get(name) ?? { component, sink, keys: new Set(), ids: [] };
    batch.keys.add(key);
    batch.ids.push(event.id);
    batches.set(name, batch);
  }
  return {
    batches: [...batches.values()],
    missing: [...missing],
    replayedBefore: [...replayedBefore].filter((id) => !chosen.has(id)),
  };
}

import { appendFile, chown, stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { ReplayedEvent } from "../../client/client.ts";
import { appendMarks, marksPathOf } from "../../event-files/replay-marks.ts";
import { cancelled } from "../../foundation/clock.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import type { CommandContext } from "../command.ts";
import type { ControlPlaneAccess } from "../control-plane-access.ts";
import type { ProgressRenderer } from "../display/progress-renderer.ts";
import { type LetterSink, storedLetters } from "./letter-files.ts";

/** Letters of one sink that go to one component. */
export interface ReplayBatch {
  readonly component: string;
  readonly sink: LetterSink;
  /** Of the letters. */
  readonly keys: ReadonlySet<string>;
}

export interface Replayed {
  readonly component: string;
  readonly sink: string;
  /** Id of the upstream that sent them: dead letters that name it have failed again. */
  readonly source: string;
  /** Letters that are acknowledged and marked now. */
  readonly replayed: number;
}

interface World {
  readonly context: CommandContext;
  readonly access: ControlPlaneAccess;
  readonly progress: ProgressRenderer;
}

/**
 * Sends letters to the component that gave them up, through the control plane, and marks each once it is acknowledged. Whatever
 * ends this, what is marked was acknowledged, and what is not can be replayed again. The pipeline goes on meanwhile.
 */
export async function replay({ context, access, progress }: World, batch: ReplayBatch): Promise<Replayed> {
  const { deps, signal } = context;
  const { component } = batch;
  const marks = marksPathOf(batch.sink.path);
  await appendFile(marks, "");
  await giveToOwner(marks);
  /** Sent and not acknowledged, by their number. */
  const sent = new Map<number, { readonly key: string; readonly id: string }>();
  const subject = `component/${component}`;
  const client = await access.client(signal);
  let source = "";
  let replayed = 0;
  for await (const answer of client.replayEvents(component, eventsOf(batch, sent, signal), signal)) {
    if (answer.upstreamId !== "") {
      source = answer.upstreamId;
      progress.sink({ subject, status: "working", text: "Receiving dead letters" });
    }
    const letters = answer.acknowledged.flatMap((number) => sent.get(number) ?? []);
    await appendMarks(marks, letters, new Date(deps.clock.now()));
    for (const number of answer.acknowledged) sent.delete(number);
    replayed += letters.length;
  }
  if (signal.aborted) throw cancelled(signal);
  if (source === "" || sent.size > 0) throw brokenOff(component);
  progress.sink({ subject, status: "done", text: "Received dead letters" });
  return { component, sink: batch.sink.id, source, replayed };
}

/** A control plane that ends the stream says why; this is for one that does not. */
function brokenOff(component: string): FlowctlError {
  return new FlowctlError({
    code: "cli/replay-broken-off",
    kind: "unavailable",
    message: `The replay to ${component} ended before every event was acknowledged`,
    fix: "Replay again: acknowledged events are marked, and only the rest is sent",
  });
}

/** The events of the letters as they were before they failed, read as fast as they are sent. */
async function* eventsOf(
  { component, sink, keys }: ReplayBatch,
  sent: Map<number, { readonly key: string; readonly id: string }>,
  signal: AbortSignal,
): AsyncGenerator<ReplayedEvent> {
  let number = 0;
  for await (const { letter } of storedLetters([sink], { component }, signal)) {
    if (!keys.has(letter.key)) continue;
    sent.set(number++, { key: letter.key, id: letter.event.id });
    yield letter.event;
  }
}

/** The sink's container reads and writes its folder as the owner of that, so what root makes there is the owner's, too. */
async function giveToOwner(path: string): Promise<void> {
  const [file, folder] = await Promise.all([stat(path), stat(dirname(path))]);
  // Only root can, and only root needs it: everyone else owns what they have made.
  if (file.uid !== folder.uid) await chown(path, folder.uid, folder.gid).catch(() => undefined);
}

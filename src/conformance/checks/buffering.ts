import type { Bench } from "../bench.ts";
import type { BufferMessage } from "../messages.ts";
import { plenty, type TestDownstream } from "../test-downstream.ts";
import type { UpstreamStream } from "../test-upstream.ts";
import { Broken, NotShown } from "../waiting.ts";
import { type Check, producers } from "./check.ts";
import { acknowledgedUpTo } from "./steps.ts";

const nothing = { maxSequence: 0, maxBytes: 0 };
/** How many events the buffers of these checks hold. */
const room = 4;
/** So many come in all: more than the buffer holds, and fewer than any source is asked for. */
const many = 12;
/** What a component may have in its hands beside a buffer that is full. */
const allowance = 32;

type WhenFull = BufferMessage["whenFull"];

/** What is kept for a group, and what becomes of it when that is too much. */
export const bufferingChecks: readonly Check[] = [
  {
    id: "buffer/memory-block",
    title: "holds everything up while a buffer in memory that blocks is full, and loses nothing",
    fix: "With WHEN_FULL_BLOCK count what the group has not acknowledged; at Buffer.max_events or max_bytes take and make no more until some of it is acknowledged.",
    types: producers,
    feature: "memory_buffer",
    needs: ["publish/every-group", "publish/credit-events"],
    async run(bench) {
      const groups = [{ id: "below", buffer: bufferOf("TYPE_MEMORY", "WHEN_FULL_BLOCK") }, { id: "beside" }];
      const began = performance.now();
      await bench.launch({ groups });
      const below = bench.below({ credit: nothing });
      const beside = bench.below({ group: "beside", acknowledge: true });
      await bench.until(() => below.opened && beside.opened, "it has not opened both subscriptions");
      const isSource = bench.facts.type === "source";
      if (!isSource) await fillUp(bench);
      // One input may make many events, which come together.
      const allowed = Math.max(allowance, ...bench.facts.productive.map(({ outputs }) => outputs));
      const tooMany = () =>
        beside.events.length > room + allowed &&
        `it gave ${beside.events.length} events to another group while a buffer for ${room} was full`;
      const still = isSource ? await untilStill(bench, beside, { began, tooMany }) : 0;
      await bench.quiet(tooMany);
      // From here on the group beside may be ahead by what the component has in its hands.
      const wanted = [...beside.ids];
      below.acknowledge = true;
      below.grant(plenty);
      await bench.arrived(below, wanted.length);
      await inOrder(bench, below.ids, wanted);
      // Nothing came from one that was held up, nor from one that had nothing to give: only the former goes on now.
      if (isSource && !(await bench.happens(() => beside.events.length > wanted.length, still))) {
        throw new NotShown(
          "the source gave nothing more when its buffer had room again; configure it to give more, sooner",
        );
      }
    },
  },
  {
    id: "buffer/memory-drops",
    title: "drops the newest or the oldest events, as it is told, when a buffer in memory is full, and holds nobody up",
    fix: "With WHEN_FULL_DROP_… count what is kept or dropped as acknowledged by the group. At Buffer.max_events drop what comes (NEWEST), or what has waited longest and was not sent (OLDEST), and add it to events_dropped.",
    types: producers,
    feature: "memory_buffer",
    needs: ["publish/every-group", "publish/credit-events"],
    run: (bench) => drops(bench, "TYPE_MEMORY"),
  },
  {
    id: "buffer/disk-kept",
    title: "acknowledges what is in its buffer on disk, and sends it after it was killed and started again",
    fix: "Write each event into FLOWCTL_STATE_DIR and sync it before it counts as acknowledged by the group; at the start read back what the group has not acknowledged, and send it first.",
    types: producers,
    feature: "disk_buffer",
    needs: ["publish/every-group", "publish/sends"],
    async run(bench) {
      const groups = [
        { id: "below", buffer: bufferOf("TYPE_DISK", "WHEN_FULL_BLOCK", 1_000) },
        // Something is to be owed, so that it does not end before it is killed.
        { id: "beside" },
      ];
      await bench.launch({ groups });
      const isSource = bench.facts.type === "source";
      const beside = bench.below({ group: "beside", acknowledge: true, hold: bench.facts.finite ? 1 : 0 });
      const events = await bench.produce(5);
      await bench.arrived(beside, Math.max(5, bench.expectedOutputs(events)));
      if (isSource) await bench.happens(() => bench.controlPlane.checkpoints.length > 0, bench.timing.stepMs);
      else await acknowledgedUpTo(bench, await bench.subscribed(), events.length);
      // A source is asked for what its position has left behind.
      const owed = isSource ? beside.ids.slice(0, 1) : [...beside.ids];
      const checkpoint = bench.controlPlane.checkpoints.at(-1);
      await bench.component?.kill();
      await bench.launch({ groups, ...(checkpoint === undefined ? {} : { checkpoint }) });
      const below = bench.below({ acknowledge: true });
      const missing = () => owed.find((id) => !below.ids.includes(id));
      await bench.until(
        () => missing() === undefined,
        () =>
          `"${missing()}" was acknowledged, and did not come after a restart (came: ${below.ids.slice(0, 5).join(", ")})`,
      );
    },
  },
  {
    id: "buffer/disk-block",
    title: "acknowledges no more than a buffer on disk that blocks may hold, and goes on when there is room",
    fix: "With WHEN_FULL_BLOCK write no more to the disk at Buffer.max_events or max_bytes: what comes then is acknowledged by the group itself, or when there is room.",
    types: ["processor"],
    feature: "disk_buffer",
    needs: ["buffer/disk-kept"],
    async run(bench) {
      bench.needsOutput(1);
      await bench.launch({ groups: [{ id: "below", buffer: bufferOf("TYPE_DISK", "WHEN_FULL_BLOCK") }] });
      const few = await fillUp(bench);
      await bench.quiet(
        () =>
          few.acked > room && `it acknowledged ${few.acked} events with a buffer on disk for ${room}, and nobody below`,
      );
      bench.below({ acknowledge: true });
      await acknowledgedUpTo(bench, few, few.sent);
    },
  },
  {
    id: "buffer/disk-drops",
    title: "drops the newest or the oldest events, as it is told, when a buffer on disk is full, and holds nobody up",
    fix: "The same as for one in memory: what is kept or dropped counts as acknowledged by the group.",
    types: producers,
    feature: "disk_buffer",
    needs: ["buffer/disk-kept"],
    run: (bench) => drops(bench, "TYPE_DISK"),
  },
];

function bufferOf(type: BufferMessage["type"], whenFull: WhenFull, maxEvents = room): BufferMessage {
  return { type, maxEvents, whenFull };
}

/** Feeds a processor as much as it takes of more than it has room for. */
async function fillUp(bench: Bench): Promise<UpstreamStream> {
  const stream = await bench.subscribed();
  while (stream.sent < (room + allowance) * 2) {
    if (!(await bench.happens(() => stream.room > 0, bench.timing.quietMs))) break;
    stream.send(bench.fresh(1));
  }
  return stream;
}

/**
 * Waits until nothing more comes from a source for as long as it took it to fill the buffer since `began`, which says how slow it is.
 * Returns that time, in milliseconds.
 */
async function untilStill(
  bench: Bench,
  group: TestDownstream,
  { began, tooMany }: { readonly began: number; readonly tooMany: () => string | false },
): Promise<number> {
  const { quietMs, stepMs } = bench.timing;
  const isFull = await bench.happens(() => group.events.length >= room, stepMs);
  const still = Math.max(quietMs, performance.now() - began);
  const end = performance.now() + stepMs + still;
  for (let seen = -1; isFull && performance.now() < end; ) {
    seen = group.events.length;
    const broken = tooMany();
    if (broken) throw new Broken(broken);
    if (!(await bench.happens(() => group.events.length > seen, still))) return still;
  }
  throw new NotShown(
    "the source is too slow to see whether a full buffer holds it up; configure it to give more, sooner",
  );
}

async function inOrder(bench: Bench, ids: readonly string[], wanted: readonly string[]): Promise<void> {
  bench.signal.throwIfAborted();
  const wrong = wanted.findIndex((id, index) => ids[index] !== id);
  if (wrong >= 0)
    throw new Broken(`"${wanted[wrong]}" was next for a group whose buffer was full; "${ids[wrong]}" came`);
}

/** Both ways to drop at once; the group beside shows what there was, and in which order. */
async function drops(bench: Bench, type: BufferMessage["type"]): Promise<void> {
  const groups = [
    { id: "newest", buffer: bufferOf(type, "WHEN_FULL_DROP_NEWEST") },
    { id: "oldest", buffer: bufferOf(type, "WHEN_FULL_DROP_OLDEST") },
    { id: "beside" },
  ];
  await bench.launch({ groups });
  // A source with an end stays as long as something is unacknowledged.
  const beside = bench.below({ group: "beside", acknowledge: true, hold: bench.facts.finite ? 1 : 0 });
  const stream = bench.facts.type === "processor" ? await bench.subscribed() : undefined;
  const events = await bench.produce(many);
  await bench.arrived(beside, Math.max(many, bench.expectedOutputs(events)));
  if (stream !== undefined) await acknowledgedUpTo(bench, stream, stream.sent);
  const dropped = () => bench.controlPlane.heartbeats.at(-1)?.metrics?.eventsDropped ?? 0;
  const least = 2 * (beside.events.length - room);
  await bench.until(
    () => dropped() >= least,
    () => `its heartbeats count ${dropped()} of ${least} events as dropped by full buffers`,
  );
  const before = [...beside.ids];
  const [newest, oldest] = [
    bench.below({ group: "newest", acknowledge: true }),
    bench.below({ group: "oldest", acknowledge: true }),
  ];
  await bench.arrived(newest, room);
  const kept = newest.ids.slice(0, room);
  if (kept.some((id, index) => id !== before[index]))
    throw new Broken(`of ${before.length} events a buffer for ${room} that drops the newest kept ${kept.join(", ")}`);
  await bench.arrived(oldest, room);
  const first = before.indexOf(oldest.ids[0]!);
  // A source goes on making events, and may be behind with dropping them.
  const oldestKept = stream === undefined ? room : before.length - room;
  if (first >= 0 && first < oldestKept)
    throw new Broken(`of ${before.length} events a buffer for ${room} that drops the oldest kept "${before[first]}"`);
  // What a source makes meanwhile comes as well.
  if (stream === undefined) return;
  const tooMany = () => [newest, oldest].find((group) => group.events.length > room);
  await bench.quiet(() => tooMany() && `a buffer for ${room} events kept ${tooMany()?.events.length}`);
  await bench.produce(1);
  await bench.arrived(newest, room + 1);
  await bench.arrived(oldest, room + 1);
}

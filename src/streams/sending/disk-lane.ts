import { rm } from "node:fs/promises";
import type { FlowctlError } from "../../foundation/errors.ts";
import type { EventView } from "../../protocol/event-view.ts";
import type { BufferSpec } from "../../protocol/records.ts";
import { OutgoingBatch } from "../../protocol/stream-codec.ts";
import type { Receipt } from "../receipt.ts";
import { Ring } from "../ring.ts";
import { EventLog, MAX_GAPS } from "./event-log.ts";
import { Filter } from "./filter.ts";
import { limitsOf } from "./group-budget.ts";
import type { LaneEnvironment } from "./lane.ts";
import { LogReader } from "./log-reader.ts";
import { Outbox } from "./outbox.ts";
import { SegmentLog } from "./segments/segment-log.ts";

export interface DiskEnvironment extends LaneEnvironment {
  /** The buffer failed: nothing can be promised any more. */
  failed(error: FlowctlError): void;
  /** Whether anybody is there to read for. */
  readonly hasMembers: boolean;
}

/** What is written to the disk at once, and what may wait to be written in a buffer that drops. */
const WRITE_EVENTS = 16_384;
const WRITE_BYTES = 8 * 1024 * 1024;
/** What is read from the disk before the group has acknowledged it. */
const READ_AHEAD_EVENTS = 16_384;
const READ_AHEAD_BYTES = 8 * 1024 * 1024;
/** What is released comes again after a kill until that is saved: as much as of a source's position. */
const SAVE_EVERY_MS = 100;
/** One run of events that is written. */
const RUN_EVENTS = 2048;
const RUN_BYTES = 1024 * 1024 - 1024;

/**
 * A queue on disk. An event is settled in the component's log once it is on the disk, and read from there, some way ahead,
 * into a log of the lane's own, from which it is sent. So a slow group slows nobody until its buffer is full, and what is in
 * it survives kill -9. One that drops when it is full takes events at once instead, and writes them as soon as it can.
 */
export class DiskLane {
  readonly kind = "disk";
  readonly outbox: Outbox;
  readonly folder: string;
  dropped = 0;
  private readonly environment: DiskEnvironment;
  private buffer: BufferSpec;
  /** What is to be written of the component's log. */
  private intake: LogReader;
  private readonly ahead: EventLog;
  private aheadBytes = 0;
  private readonly receipt: Receipt = { settle: () => this.release(), settleRun: () => this.release() };
  private store: SegmentLog | undefined;
  /** Records that a buffer that drops has taken, and not begun to write. */
  private readonly unwritten = new Ring<Buffer>();
  private unwrittenBytes = 0;
  /** Taken from the component's log and not yet acknowledged there. */
  private syncing = 0;
  /** Records in the store that are not on the disk yet, and their bytes. */
  private unsynced = 0;
  private unsyncedBytes = 0;
  private gathering = false;
  /** Flushes that are under way. */
  private readonly writing = new Set<Promise<void>>();
  private isReading = false;
  private reading: Promise<void> | undefined;
  private trimming: Promise<void> | undefined;
  private releasing = false;
  private closed = false;
  private hasFailed = false;
  private saving: Promise<void> | undefined;
  private closing: Promise<void> | undefined;
  private readonly saver: NodeJS.Timeout;
  private readonly opening: Promise<void>;

  /**
   * Begins to open what an earlier run left in the folder.
   *
   * @param intake What is to be written.
   * @param before Resolves when nobody else uses the folder any more; never rejects.
   */
  constructor(
    folder: string,
    buffer: BufferSpec,
    intake: LogReader,
    environment: DiskEnvironment,
    before: Promise<void> = Promise.resolve(),
  ) {
    this.folder = folder;
    this.buffer = buffer;
    this.intake = intake;
    this.environment = environment;
    this.ahead = new EventLog(environment.memory);
    this.outbox = new Outbox(this.ahead, new LogReader(this.ahead, Filter.ALL), {
      schedule: environment.schedule,
      due: environment.changed,
      done: (_events, bytes) => {
        this.aheadBytes -= bytes;
      },
    });
    this.opening = this.run(async () => {
      await before;
      await this.open();
    });
    this.saver = setInterval(() => this.save(), SAVE_EVERY_MS);
    this.saver.unref();
  }

  /** Whether it takes events at once, and drops what there is no room for. */
  get isLossy(): boolean {
    return this.buffer.whenFull !== "block";
  }

  /** Events of it that are not in the component's log. */
  get stored(): number {
    return this.records - this.syncing;
  }

  /** Whether something older than what newer lanes have is still to come into the outbox. */
  get isFilling(): boolean {
    return (
      this.store === undefined ||
      this.isReading ||
      this.trimming !== undefined ||
      this.unsynced > 0 ||
      this.unwritten.length > 0 ||
      this.store.readable > 0 ||
      this.intake.peek() !== undefined
    );
  }

  get isEmpty(): boolean {
    return !this.isFilling && this.records === 0 && !this.gathering && this.writing.size === 0;
  }

  /** See `SharedLane.marker`. */
  marker(): () => boolean {
    const upTo = this.environment.log.next;
    let target: number | undefined;
    return () => {
      const { store, intake } = this;
      if (store === undefined) return false;
      if (target === undefined) {
        const next = intake.peek();
        if (next !== undefined && next < upTo) return false;
        // By now something newer may be before it, which is waited for as well.
        target = store.next + this.unwritten.length;
      }
      // What had not begun to be written may have been dropped.
      return (this.ahead.oldestTag ?? store.readPosition) >= target || this.isEmpty;
    };
  }

  /** Another filter counts for what is published from now on. */
  follow(filter: Filter): void {
    this.intake.follow(this.isLossy ? Filter.NOTHING : filter);
  }

  /** The buffer is another one. What was accepted before is kept also where the new one has no room for it. */
  redefine(buffer: BufferSpec, filter: Filter): void {
    this.buffer = buffer;
    this.follow(filter);
    if (this.isLossy) this.takeAll();
    this.fill();
  }

  /** Takes no more: gives away what it had not begun to write. */
  giveIntake(): LogReader {
    const { log } = this.environment;
    const rest = this.intake;
    this.intake = new LogReader(log, Filter.NOTHING);
    return rest;
  }

  /** Takes an event of a buffer that drops; or drops it, or the oldest when there is no room. */
  offer(event: EventView): void {
    const isTooFast = this.unwritten.length >= WRITE_EVENTS || this.unwrittenBytes >= WRITE_BYTES;
    if (isTooFast || (this.isFull && this.buffer.whenFull === "drop_newest")) this.dropped++;
    else {
      this.keep(event);
      this.fill();
    }
  }

  /** Writes, drops and reads what can be written, has to be dropped and can be read now. */
  fill(): void {
    this.write();
    this.trim();
    this.read();
  }

  /** Nothing is owed to the group any more of what is not on the disk. */
  dissolve(): void {
    const { log, budget } = this.environment;
    for (let position = this.intake.peek(); position !== undefined; position = this.intake.peek()) {
      this.intake.advance(1);
      budget.release(1, log.acknowledge(position, 1));
    }
  }

  /** Writes down how far the group has come. What is in the buffer stays for the next run. */
  close(): Promise<void> {
    this.closing ??= this.shutDown();
    return this.closing;
  }

  /** Closes it and removes its folder, in which nothing is owed to anybody. */
  async remove(): Promise<void> {
    await this.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  private async shutDown(): Promise<void> {
    this.closed = true;
    clearInterval(this.saver);
    // As of now: of what is acknowledged later nobody can tell whether it was given up.
    const reached = this.store === undefined ? 0 : (this.ahead.oldestTag ?? this.store.readPosition);
    await Promise.all([this.opening, ...this.writing, this.reading, this.trimming, this.saving]);
    try {
      await this.store?.releaseTo(reached);
      await this.store?.saveProgress();
    } finally {
      await this.store?.close();
    }
  }

  private save(): void {
    this.saving ??= this.run(async () => await this.store?.saveProgress()).then(() => {
      this.saving = undefined;
    });
  }

  private async open(): Promise<void> {
    const store = await SegmentLog.open(this.folder, { memory: this.environment.memory });
    this.store = store;
    this.fill();
    this.environment.changed();
  }

  /** Events that the group has not acknowledged: not those behind one that an instance is stuck on. */
  private get records(): number {
    return (this.store?.records ?? 0) + this.unwritten.length - this.ahead.gaps;
  }

  /** Their size. */
  private get bytes(): number {
    const { bytes = 0, givenBytes = 0 } = this.store ?? {};
    return bytes - givenBytes + this.ahead.bytes + this.unwrittenBytes;
  }

  private get isFull(): boolean {
    const { maxEvents, maxBytes } = limitsOf(this.buffer);
    return this.records >= maxEvents || this.bytes >= maxBytes;
  }

  /** Keeps a copy of the event until it can be written. */
  private keep({ buffer, start, end }: EventView): void {
    this.unwritten.push(Buffer.from(buffer.subarray(start, end)));
    this.unwrittenBytes += end - start;
  }

  /** Whether it has more than it may, as one that drops the oldest has until that is done. */
  private get isOver(): boolean {
    const { maxEvents, maxBytes } = limitsOf(this.buffer);
    return this.buffer.whenFull === "drop_oldest" && (this.records > maxEvents || this.bytes > maxBytes);
  }

  /** Drops what waits for longest and was never sent. */
  private trim(): void {
    if (this.trimming !== undefined || this.closed || this.hasFailed || this.store === undefined || !this.isOver)
      return;
    const before = this.dropped;
    this.trimming = this.run(async () => {
      for (let dropped = 1; dropped > 0 && this.isOver && !this.closed; ) {
        dropped = await this.dropSome(this.store!);
        this.dropped += dropped;
      }
    }).then(() => {
      this.trimming = undefined;
      // What there is nothing to drop of is looked at again when something was written or acknowledged.
      if (this.dropped === before && this.isOver) return;
      this.read();
      this.environment.changed();
    });
  }

  /** Of what was read ahead, of what is on the disk, or of what is on its way there; what is just being written is not dropped. */
  private async dropSome(store: SegmentLog): Promise<number> {
    await this.reading;
    if (this.outbox.dropOldest()) {
      await store.releaseTo(this.ahead.oldestTag ?? store.readPosition);
      return 1;
    }
    if (store.readable > 0) {
      const { maxEvents } = limitsOf(this.buffer);
      const skipped = await store.skipSome(Number.isFinite(maxEvents) ? Math.max(1, this.records - maxEvents) : 1);
      await store.releaseTo(this.ahead.oldestTag ?? store.readPosition);
      return skipped;
    }
    if (this.unsynced > 0 || this.unwritten.length === 0) return 0;
    this.unwrittenBytes -= this.unwritten.shift().length;
    return 1;
  }

  private write(): void {
    if (this.gathering || this.closed || this.hasFailed || this.store === undefined) return;
    const hasRest = !this.isFull && this.intake.peek() !== undefined;
    if (!this.mayWrite || (this.unwritten.length === 0 && !hasRest)) return;
    this.gathering = true;
    // One turn of the event loop collects what arrives together.
    setImmediate(() => {
      this.gathering = false;
      if (!this.closed) this.flush(this.store!);
    });
  }

  /** Writes what there is to write. The next flush need not wait for this one. */
  private flush(store: SegmentLog): void {
    const before = [this.unsynced, this.unsyncedBytes] as const;
    if (this.mayWrite) this.appendUnwritten();
    const taken = this.take();
    const events = this.unsynced - before[0];
    const bytes = this.unsyncedBytes - before[1];
    const flush = this.run(async () => {
      await store.flush();
      this.unsynced -= events;
      this.unsyncedBytes -= bytes;
      for (const { first, count } of taken) this.settle(first, count);
    }).then(() => {
      this.writing.delete(flush);
      this.fill();
      this.environment.changed();
    });
    this.writing.add(flush);
  }

  /** What a buffer that drops has taken becomes one run. */
  private appendUnwritten(): void {
    if (this.unwritten.length === 0) return;
    const events: Buffer[] = [];
    while (this.unwritten.length > 0) events.push(this.unwritten.shift());
    this.unwrittenBytes = 0;
    const run = Buffer.concat(events);
    this.append(run, 0, run.length, events.length);
  }

  private append(buffer: Buffer, start: number, end: number, count: number): void {
    this.unsynced += count;
    this.unsyncedBytes += end - start;
    this.store!.appendRun(buffer, start, end, count);
  }

  /** A disk that is slow, or hangs, gets no more to do than that. */
  private get mayWrite(): boolean {
    return this.unsynced < WRITE_EVENTS && this.unsyncedBytes < WRITE_BYTES;
  }

  private get canTake(): boolean {
    return this.mayWrite && !this.isFull;
  }

  /** Appends what is to be written of the component's log, as far as there is room, and returns what that is. */
  private take(): readonly { readonly first: number; readonly count: number }[] {
    const { log, memory } = this.environment;
    const taken: { first: number; count: number }[] = [];
    while (this.canTake) {
      const first = this.intake.run > 0 ? this.intake.position : this.intake.peek();
      if (first === undefined) break;
      const { maxEvents, maxBytes } = limitsOf(this.buffer);
      const most = Math.max(1, Math.min(this.intake.run, RUN_EVENTS, maxEvents - this.records));
      // Copied, as it stays until it is on the disk and, if the group keeps up, until the group has it.
      const batch = new OutgoingBatch(1);
      const { taken: count } = log.fill(batch, first, most, maxBytes - this.bytes, RUN_BYTES);
      const size = batch.byteLength;
      const message = memory?.take(size) ?? Buffer.allocUnsafeSlow(size);
      batch.copy(message);
      this.append(message, size - batch.size, size, count);
      memory?.written(message);
      this.intake.advance(count);
      this.syncing += count;
      taken.push({ first, count });
    }
    return taken;
  }

  /** Takes all of the component's log, whether there is room or not. */
  private takeAll(): void {
    const { log } = this.environment;
    let isChanged = false;
    for (let position = this.intake.peek(); position !== undefined; position = this.intake.peek()) {
      this.keep(log.get(position)!);
      this.intake.advance(1);
      this.syncing++;
      this.settle(position, 1);
      isChanged = true;
    }
    if (isChanged) this.environment.changed();
  }

  private settle(first: number, count: number): void {
    const { log, budget } = this.environment;
    this.syncing -= count;
    budget.release(count, log.acknowledge(first, count));
  }

  private read(): void {
    const { store } = this;
    if (this.isReading || store === undefined || !this.canRead) return;
    this.isReading = true;
    let taken = 0;
    while (this.canRead) {
      const run = store.takeRun();
      if (run === undefined) break;
      this.aheadBytes += this.ahead.appendRun(run.buffer, run.start, run.count, this.receipt, run.first, 1);
      this.environment.memory?.release(run.buffer);
      taken += run.count;
    }
    if (this.canRead) {
      this.reading = this.run(async () => await store.load()).then(() => {
        this.reading = undefined;
        this.isReading = false;
        // Of what was given up on the disk nothing comes that could be acknowledged.
        if (this.ahead.unsettled === 0) this.release();
        this.read();
        this.environment.changed();
      });
    } else this.isReading = false;
    if (taken > 0) this.environment.changed();
  }

  private get canRead(): boolean {
    return (
      !this.closed &&
      !this.hasFailed &&
      !this.isOver &&
      this.environment.hasMembers &&
      (this.store?.readable ?? 0) > 0 &&
      this.ahead.unsettled < READ_AHEAD_EVENTS &&
      this.aheadBytes < READ_AHEAD_BYTES &&
      this.ahead.gaps < MAX_GAPS
    );
  }

  /** What the group has acknowledged from the front on is not needed on the disk any more. */
  private release(): void {
    if (this.releasing) return;
    this.releasing = true;
    // In a while: as many acknowledgements as came together are one step.
    setImmediate(() => {
      this.releasing = false;
      if (this.closed) return;
      const store = this.store!;
      void this.run(async () => await store.releaseTo(this.ahead.oldestTag ?? store.readPosition));
      this.fill();
      this.environment.changed();
    });
  }

  private async run(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.hasFailed = true;
      if (!this.closed) this.environment.failed(error as FlowctlError);
    }
  }
}

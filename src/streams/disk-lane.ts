import { rm } from "node:fs/promises";
import type { FlowctlError } from "../foundation/errors.ts";
import { EventView } from "../protocol/event-view.ts";
import type { BufferSpec } from "../protocol/records.ts";
import { WireReader } from "../protocol/wire.ts";
import { EventLog, MAX_GAPS, type Receipt } from "./event-log.ts";
import { Filter } from "./filter.ts";
import { limitsOf } from "./group-budget.ts";
import type { LaneEnvironment } from "./lane.ts";
import { LogReader } from "./log-reader.ts";
import { Outbox } from "./outbox.ts";
import { Ring } from "./ring.ts";
import { SegmentLog } from "./segment-log.ts";

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
const SAVE_EVERY_MS = 500;

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
  private readonly ahead = new EventLog();
  private aheadBytes = 0;
  private readonly receipt: Receipt = { settle: () => this.released(), settleRun: () => this.released() };
  /** What was read and is not released: where each run begins in the log of what was read, where it ends, and in the store. */
  private readonly given = new Ring<{ readonly first: number; readonly end: number; readonly stored: number }>();
  private store: SegmentLog | undefined;
  /** Records that a buffer that drops has taken, and not begun to write. */
  private readonly unwritten = new Ring<Buffer>();
  private unwrittenBytes = 0;
  /** Taken from the component's log and not yet acknowledged there. */
  private syncing = 0;
  /** Records in the store that are not on the disk yet. */
  private unsynced = 0;
  private writing: Promise<void> | undefined;
  private reading: Promise<void> | undefined;
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
   */
  constructor(folder: string, buffer: BufferSpec, intake: LogReader, environment: DiskEnvironment) {
    this.folder = folder;
    this.buffer = buffer;
    this.intake = intake;
    this.environment = environment;
    this.outbox = new Outbox(this.ahead, new LogReader(this.ahead, Filter.ALL), {
      schedule: environment.schedule,
      due: environment.changed,
      done: (_events, bytes) => {
        this.aheadBytes -= bytes;
      },
    });
    this.opening = this.run(async () => await this.open());
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
      this.reading !== undefined ||
      this.unsynced > 0 ||
      this.unwritten.length > 0 ||
      this.store.readable > 0 ||
      this.intake.peek() !== undefined
    );
  }

  get isEmpty(): boolean {
    return !this.isFilling && this.records === 0 && this.writing === undefined;
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

  /** Takes an event of a buffer that drops; or drops it or the oldest when there is no room. */
  offer(event: EventView): void {
    if (this.isFull() && this.buffer.whenFull === "drop_oldest") this.dropOldest();
    if (this.isFull() || this.unwritten.length >= WRITE_EVENTS || this.unwrittenBytes >= WRITE_BYTES) this.dropped++;
    else {
      this.keep(event);
      this.write();
    }
  }

  /** Writes and reads what can be written and read now. */
  fill(): void {
    this.write();
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
    await Promise.all([this.opening, this.writing, this.reading, this.saving]);
    await this.store?.saveProgress();
    await this.store?.close();
  }

  private save(): void {
    this.saving ??= this.run(async () => await this.store?.saveProgress()).then(() => {
      this.saving = undefined;
    });
  }

  private async open(): Promise<void> {
    const store = await SegmentLog.open(this.folder);
    this.store = store;
    this.fill();
    this.environment.changed();
  }

  private get records(): number {
    return (this.store?.records ?? 0) + this.unwritten.length;
  }

  /** @param events about to be written, of so many bytes. */
  private isFull(events = 0, bytes = 0): boolean {
    const { maxEvents, maxBytes } = limitsOf(this.buffer);
    const stored = (this.store?.bytes ?? 0) + this.unwrittenBytes;
    return this.records + events >= maxEvents || stored + bytes >= maxBytes;
  }

  /** Keeps a copy of the event until it can be written. */
  private keep({ buffer, start, end }: EventView): void {
    this.unwritten.push(Buffer.from(buffer.subarray(start, end)));
    this.unwrittenBytes += end - start;
  }

  /** Drops what waits for longest and was never sent: read ahead, on the disk, or on its way there. */
  private dropOldest(): void {
    if (this.outbox.dropOldest()) {
      this.dropped++;
      return;
    }
    if (this.store?.skip() !== undefined) this.released();
    else if (this.unwritten.length > 0) this.unwrittenBytes -= this.unwritten.shift().length;
    else return;
    this.dropped++;
  }

  private write(): void {
    if (this.writing !== undefined || this.closed || this.hasFailed || this.store === undefined) return;
    if (this.unwritten.length === 0 && (this.isFull() || this.intake.peek() === undefined)) return;
    const { store } = this;
    this.writing = this.run(async () => {
      // One turn of the event loop collects what arrives together: one wait for the disk for all of it.
      await new Promise((resolve) => setImmediate(resolve));
      for (;;) {
        const taken = this.take();
        const records = this.unsynced;
        if (records === 0) break;
        await store.flush();
        this.unsynced -= records;
        this.settle(taken);
        this.read();
      }
    });
    void this.writing.then(() => {
      this.writing = undefined;
      this.fill();
      this.environment.changed();
    });
  }

  /** Appends what is to be written, as far as there is room. Returns what it took of the component's log. */
  private take(): readonly number[] {
    const { log } = this.environment;
    const run = new RunOfRecords(this.store!);
    for (; this.unwritten.length > 0; this.unsynced++) run.add(this.unwritten.shift());
    run.finish();
    this.unwrittenBytes = 0;
    const taken: number[] = [];
    for (let bytes = 0; taken.length < WRITE_EVENTS && bytes < WRITE_BYTES; ) {
      if (this.isFull(run.count, run.bytes)) break;
      const position = this.intake.peek();
      if (position === undefined) break;
      const { buffer, start, end } = log.get(position)!;
      run.add(buffer.subarray(start, end));
      bytes += end - start;
      this.intake.advance(1);
      taken.push(position);
    }
    run.finish();
    this.syncing += taken.length;
    this.unsynced += taken.length;
    return taken;
  }

  /** Takes all of the component's log, whether there is room or not. */
  private takeAll(): void {
    const { log } = this.environment;
    const taken: number[] = [];
    for (let position = this.intake.peek(); position !== undefined; position = this.intake.peek()) {
      this.keep(log.get(position)!);
      this.intake.advance(1);
      this.syncing++;
      taken.push(position);
    }
    this.settle(taken);
  }

  private settle(positions: readonly number[]): void {
    const { log, budget, changed } = this.environment;
    this.syncing -= positions.length;
    for (let i = 0; i < positions.length; ) {
      const first = positions[i]!;
      let count = 1;
      while (positions[i + count] === first + count) count++;
      budget.release(count, log.acknowledge(first, count));
      i += count;
    }
    if (positions.length > 0) changed();
  }

  private read(): void {
    if (this.reading !== undefined || !this.canRead) return;
    this.reading = this.run(async () => {
      while (this.canRead) {
        await this.store!.load();
        if (this.closed) return;
        this.takeAhead();
        this.environment.changed();
      }
    });
    void this.reading.then(() => {
      this.reading = undefined;
      this.environment.changed();
    });
  }

  private get canRead(): boolean {
    return (
      !this.closed &&
      !this.hasFailed &&
      this.environment.hasMembers &&
      (this.store?.readable ?? 0) > 0 &&
      this.ahead.unsettled < READ_AHEAD_EVENTS &&
      this.aheadBytes < READ_AHEAD_BYTES &&
      this.ahead.gaps < MAX_GAPS
    );
  }

  private takeAhead(): void {
    const { ahead } = this;
    while (this.canRead) {
      const run = this.store!.takeRun();
      if (run === undefined) return;
      const first = ahead.next;
      const reader = new WireReader(run.buffer, run.start, run.end);
      while (!reader.done) {
        const start = reader.position;
        reader.tag();
        const end = reader.lengthEnd();
        const event = new EventView(run.buffer, start, reader.position, end, undefined, 0);
        reader.position = end;
        this.aheadBytes += event.size;
        ahead.append(event, this.receipt, 0, 1, false);
      }
      this.given.push({ first, end: ahead.next, stored: run.first });
    }
  }

  /** What the group has acknowledged from the front on is not needed on the disk any more. */
  private released(): void {
    const { given, store } = this;
    const { base } = this.ahead;
    while (given.length > 0 && given.at(0).end <= base) given.shift();
    // Whatever was skipped before a run is not needed either.
    const oldest = given.length > 0 ? given.at(0) : undefined;
    const to = oldest === undefined ? store!.readPosition : oldest.stored + Math.max(0, base - oldest.first);
    void this.run(async () => await store!.releaseTo(to));
    this.fill();
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

/** So large one record of the store becomes, in bytes: so much is read at once. */
const RECORD_BYTES = 256 * 1024;

/** Gathers events to one record after the other, which is written, checked and read as a whole. Copies them. */
class RunOfRecords {
  private readonly store: SegmentLog;
  private pieces: Buffer[] = [];
  bytes = 0;

  constructor(store: SegmentLog) {
    this.store = store;
  }

  get count(): number {
    return this.pieces.length;
  }

  add(record: Buffer): void {
    this.pieces.push(record);
    this.bytes += record.length;
    if (this.bytes >= RECORD_BYTES) this.finish();
  }

  finish(): void {
    if (this.pieces.length === 0) return;
    this.store.appendRun(Buffer.concat(this.pieces), 0, this.bytes, this.pieces.length);
    this.pieces = [];
    this.bytes = 0;
  }
}

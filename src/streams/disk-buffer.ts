import type { FlowctlError } from "../foundation/errors.ts";
import { EventView } from "../protocol/event-view.ts";
import type { BufferSpec, Downstream } from "../protocol/records.ts";
import { type Credit, eventsOf } from "../protocol/stream-codec.ts";
import { WireReader } from "../protocol/wire.ts";
import type { Receipt } from "./event-log.ts";
import type { Member, MemberTransport } from "./member.ts";
import { Publisher } from "./publisher.ts";
import { Ring } from "./ring.ts";
import { SegmentLog } from "./segment-log.ts";

export interface DiskBufferOptions {
  readonly folder: string;
  readonly definition: Downstream;
  readonly buffer: BufferSpec;
  /** Where the group's events come from: the component's publisher, in which the buffer is the group's only member. */
  readonly upstream: Publisher;
  readonly onFailure: (error: FlowctlError) => void;
}

const CREDIT_EVENTS = 4096;
const CREDIT_BYTES = 8 * 1024 * 1024;
const SAVE_EVERY_MS = 500;
/** What is read from the disk before the group has acknowledged it. */
const READ_AHEAD_EVENTS = 4096;

/**
 * A group's buffer on disk. Towards the component it is a member that acknowledges an event once it is on the disk;
 * towards the group's instances it is a publisher that is fed from the disk. So a slow group slows nobody until its buffer
 * is full, and what is in the buffer survives kill -9.
 */
export class DiskBuffer {
  private readonly downstream: Publisher;
  private readonly options: DiskBufferOptions;
  private readonly marks = new Ring<Mark>(1024);
  private member: Member | undefined;
  private log: SegmentLog | undefined;
  private received = 0;
  private receivedBytes = 0;
  private droppedCount = 0;
  private ending = false;
  private finished = false;
  private writing = false;
  private reading = false;
  private closed = false;
  private readonly waiters: (() => void)[] = [];
  private saver: NodeJS.Timeout | undefined;

  private constructor(options: DiskBufferOptions) {
    this.options = options;
    this.downstream = new Publisher({ maxEvents: READ_AHEAD_EVENTS });
    this.downstream.setGroups([withoutBuffer(options.definition)]);
  }

  /** Makes the buffer and begins to open what an earlier run left. Failures go to `onFailure`. */
  static start(options: DiskBufferOptions): DiskBuffer {
    const buffer = new DiskBuffer(options);
    void buffer.run(async () => await buffer.open());
    return buffer;
  }

  /** Opens the stream of one of the group's instances. Reading from the disk begins with the first. */
  attach(instanceId: string, transport: MemberTransport, credit: Credit): Member {
    const member = this.downstream.attach(this.options.definition.componentId, instanceId, transport, credit);
    this.read();
    return member;
  }

  detach(member: Member): void {
    this.downstream.detach(this.options.definition.componentId, member);
  }

  get connected(): number {
    return this.downstream.connected;
  }

  /** Something is there for the group that none of its instances can take. */
  get blocked(): boolean {
    return this.downstream.counters().blocked;
  }

  get dropped(): number {
    return this.droppedCount;
  }

  /** Events on the disk or in the hands of the group that it has not acknowledged. */
  get waiting(): number {
    return this.log?.records ?? 0;
  }

  /** The group's definition changed in something other than its buffer. */
  redefine(definition: Downstream): void {
    this.downstream.setGroups([withoutBuffer(definition)]);
  }

  /** Resolves when the group has acknowledged everything that is in it. */
  async drained(): Promise<void> {
    while (!this.isEmpty && !this.closed) await new Promise<void>((resolve) => this.waiters.push(resolve));
  }

  /** Writes down how far the group has come. What is in the buffer stays for the next run. */
  async close(): Promise<void> {
    this.closed = true;
    this.wake();
    clearInterval(this.saver);
    await this.log?.saveProgress();
    await this.log?.close();
  }

  private async open(): Promise<void> {
    const { folder, definition, upstream } = this.options;
    this.log = await SegmentLog.open(folder);
    const transport: MemberTransport = {
      // In memory of their own, as they stay until they are on the disk.
      send: (batch) => this.receive(eventsOf(batch.toBuffer())),
      finish: () => {
        this.ending = true;
        this.settle();
      },
      fail: () => undefined,
    };
    this.member = upstream.attach(definition.componentId, "(disk buffer)", transport, this.credit());
    this.saver = setInterval(() => void this.run(async () => await this.log?.saveProgress()), SAVE_EVERY_MS);
    this.saver.unref();
    this.read();
    this.settle();
  }

  private receive(events: readonly EventView[]): boolean {
    const { whenFull } = this.options.buffer;
    for (const event of events) {
      this.received++;
      this.receivedBytes += event.size;
      if (this.isFull && whenFull === "drop_oldest") this.dropOldest();
      if (this.isFull && whenFull !== "block") this.droppedCount++;
      else this.log?.append(event.buffer.subarray(event.start, event.end));
    }
    this.write();
    return true;
  }

  private get isEmpty(): boolean {
    return this.log?.records === 0 && !this.writing && !this.reading;
  }

  private get isFull(): boolean {
    const { maxEvents, maxBytes } = this.options.buffer;
    const { records = 0, bytes = 0 } = this.log ?? {};
    return (maxEvents > 0 && records >= maxEvents) || (maxBytes > 0 && bytes >= maxBytes);
  }

  private dropOldest(): void {
    const length = this.log?.skip();
    if (length === undefined) return;
    this.droppedCount++;
    this.mark(length).settle();
  }

  /** What the component may send: as much as fits, when the buffer blocks. */
  private credit(): Credit {
    const { maxEvents, maxBytes, whenFull } = this.options.buffer;
    const { records = 0, bytes = 0 } = this.log ?? {};
    const blocks = whenFull === "block";
    const events = blocks && maxEvents > 0 ? Math.max(0, maxEvents - records) : CREDIT_EVENTS;
    const size = blocks && maxBytes > 0 ? Math.max(0, maxBytes - bytes) : CREDIT_BYTES;
    const room = blocks && maxBytes > 0 && size === 0 ? 0 : events;
    return {
      maxSequence: this.received + Math.min(CREDIT_EVENTS, room),
      maxBytes: this.receivedBytes + Math.min(CREDIT_BYTES, Math.max(size, 1)),
    };
  }

  private write(): void {
    if (this.writing || this.log === undefined) return;
    this.writing = true;
    void this.run(async () => {
      // One turn of the event loop collects what arrives together: one wait for the disk for all of it.
      await new Promise((resolve) => setImmediate(resolve));
      let confirmed = -1;
      while (confirmed < this.received) {
        const upTo = this.received;
        await this.log!.flush();
        confirmed = upTo;
        this.member?.ack(upTo);
        this.member?.grant(this.credit());
      }
      this.writing = false;
      this.read();
      this.settle();
    });
  }

  private read(): void {
    if (this.reading || this.closed || this.log === undefined) return;
    this.reading = true;
    void this.run(async () => {
      const log = this.log!;
      while (!this.closed && this.connected > 0 && log.readable > 0) {
        await this.downstream.room();
        for (const content of await log.read()) this.downstream.publish(viewOf(content), this.mark(content.length));
      }
      this.reading = false;
      this.settle();
    });
  }

  private mark(bytes: number): Mark {
    const mark = new Mark(bytes, () => this.released());
    this.marks.push(mark);
    return mark;
  }

  private released(): void {
    let count = 0;
    let bytes = 0;
    while (this.marks.length > 0 && this.marks.at(0).done) {
      bytes += this.marks.shift().bytes;
      count++;
    }
    if (count === 0) return;
    void this.run(async () => await this.log?.release(count, bytes));
    this.member?.grant(this.credit());
    this.settle();
  }

  /** Tells the group the end once everything before it was handed over, and whoever waits that nothing is left. */
  private settle(): void {
    if (this.isEmpty) this.wake();
    if (!this.ending || this.finished || this.writing || this.reading || (this.log?.readable ?? 0) > 0) return;
    this.finished = true;
    this.downstream.end();
  }

  private wake(): void {
    for (const resolve of this.waiters.splice(0)) resolve();
  }

  private async run(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!this.closed) this.options.onFailure(error as FlowctlError);
    }
  }
}

class Mark implements Receipt {
  done = false;
  readonly bytes: number;
  private readonly onDone: () => void;

  constructor(bytes: number, onDone: () => void) {
    this.bytes = bytes;
    this.onDone = onDone;
  }

  settle(): void {
    this.done = true;
    this.onDone();
  }
}

function viewOf(content: Buffer): EventView {
  const reader = new WireReader(content);
  reader.tag();
  const end = reader.lengthEnd();
  return new EventView(content, 0, reader.position, end, undefined, 0);
}

function withoutBuffer(definition: Downstream): Downstream {
  const { buffer: _, ...rest } = definition;
  return rest;
}

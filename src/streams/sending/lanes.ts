import type { FlowctlError } from "../../foundation/errors.ts";
import type { EventView } from "../../protocol/event-view.ts";
import type { BufferSpec } from "../../protocol/records.ts";
import { DiskFolders } from "./disk-folders.ts";
import { type DiskEnvironment, DiskLane } from "./disk-lane.ts";
import { Filter } from "./filter.ts";
import { SharedLane } from "./lane.ts";
import { LogReader } from "./log-reader.ts";
import { LossyLane } from "./lossy-lane.ts";
import type { Member } from "./member.ts";

/**
 * One of the queues in which events wait for a group. The newest takes what is published, and the oldest that has anything is
 * sent from first: so a buffer is added, resized and taken away while events flow.
 */
type Lane = SharedLane | LossyLane | DiskLane;

/** Where queues on disk lie, and who is told when one fails. */
export interface DiskHome {
  readonly folder: string;
  readonly onFailure: (error: FlowctlError) => void;
}

/** The same as all groups of a component share it. */
export interface SharedDiskHome extends DiskHome {
  /** By folder: who used it before and is about to let go of it. A queue on disk has one user at a time. */
  readonly leaving: Map<string, Leaving>;
}

interface Leaving {
  /** It is empty, and its folder is removed. */
  readonly isRemoved: boolean;
  /** Never rejects. */
  readonly over: Promise<void>;
}

/**
 * The queues of one group, oldest first. The newest takes what is published. A changed buffer resizes it, or begins another:
 * what is in the older ones is sent first, and they go when they are empty.
 */
export class Lanes {
  private readonly environment: DiskEnvironment;
  private readonly home: SharedDiskHome | undefined;
  private readonly folders: DiskFolders | undefined;
  private readonly list: Lane[] = [];
  /** How often a queue took another's place. */
  private replaced = 0;
  /** By lanes that are gone. */
  private droppedBefore = 0;
  private filter: Filter;
  private buffer: BufferSpec | undefined;
  private closed = false;
  /** Queues on disk that are being closed. */
  private readonly closing = new Set<Promise<void>>();

  /** Begins with what earlier runs left on disk, also where the buffer is no longer one on disk. */
  constructor(
    id: string,
    filter: Filter,
    buffer: BufferSpec | undefined,
    home: SharedDiskHome | undefined,
    environment: DiskEnvironment,
  ) {
    this.environment = environment;
    this.filter = filter;
    this.buffer = buffer;
    this.home = home;
    this.folders = home === undefined ? undefined : new DiskFolders(home.folder, id);
    const found = (this.folders?.found() ?? []).filter((folder) => home?.leaving.get(folder)?.isRemoved !== true);
    const current = buffer?.type === "disk" ? found.pop() : undefined;
    for (const folder of found) this.list.push(this.onDisk(folder, LEFT_BEHIND, this.reader(Filter.NOTHING)));
    if (current === undefined) this.list.push(this.make(buffer, this.reader(filter)));
    else this.list.push(this.onDisk(current, buffer!, this.reader(filter)));
  }

  /** Whether the newest takes an event at once, by `offer`, and never out of the component's log. */
  get isLossy(): boolean {
    // Asked for each event: `at` would take longer than all the rest.
    const newest = this.list[this.list.length - 1]!;
    return newest.kind === "lossy" || (newest.kind === "disk" && newest.isLossy);
  }

  get dropped(): number {
    return this.list.reduce((sum, { dropped }) => sum + dropped, this.droppedBefore);
  }

  /** Events that are owed to the group and not in the component's log. */
  get stored(): number {
    return this.list.reduce((sum, { stored }) => sum + stored, 0);
  }

  get isEmpty(): boolean {
    return this.list.every(({ isEmpty }) => isEmpty);
  }

  /** An event is published that the group wants, and whose newest lane is lossy. */
  offer(event: EventView): void {
    const newest = this.list.at(-1)!;
    if (newest.kind !== "shared") newest.offer(event);
  }

  /** The lane to send from: undefined when nothing waits. It may have nothing to send before more is read from the disk. */
  current(): Lane | undefined {
    if (this.list.length > 1) this.removeEmpty();
    for (const lane of this.list) if (lane.outbox.hasNext || lane.isFilling) return lane;
    return undefined;
  }

  /** Members came or went, or have taken something. */
  fill(): void {
    for (const lane of this.list) if (lane.kind === "disk") lane.fill();
  }

  /** What counts for what is published from now on. What was owed before, still is. */
  redefine(filter: Filter, buffer: BufferSpec | undefined, members: Iterable<Member>): void {
    this.filter = filter;
    this.buffer = buffer;
    const newest = this.list.at(-1)!;
    const kind = this.kindOf(buffer);
    if (newest.kind === "shared" && kind === "shared") newest.follow(filter);
    else if (newest.kind === "lossy" && kind === "lossy") newest.redefine(buffer!);
    else if (newest.kind === "disk" && kind === "disk") newest.redefine(buffer!, filter);
    else if (newest.kind !== "shared" || kind !== "lossy") this.replace(newest, buffer);
    if (buffer !== undefined && buffer.whenFull !== "block") this.letGo(members);
    this.removeEmpty();
  }

  /**
   * Tells, whenever it is asked, whether the group has acknowledged everything that it is owed now. Where queues take each other's
   * place meanwhile, it is what the group is owed then.
   */
  marker(members: () => Iterable<Member>): () => boolean {
    const begin = (): readonly (() => boolean)[] => this.list.map((lane) => lane.marker(members));
    let { replaced } = this;
    let parts = begin();
    return () => {
      if (replaced !== this.replaced) {
        replaced = this.replaced;
        parts = begin();
      }
      return parts.every((isSettled) => isSettled());
    };
  }

  /** The group is gone: nothing is owed to it any more. What is on the disk stays there; a queue without anything goes. */
  dissolve(): void {
    this.closed = true;
    for (const lane of this.list) {
      if (lane.kind === "disk") {
        lane.dissolve();
        // Before the rest is given up: on the disk it stays.
        this.leave(lane, lane.isEmpty ? "remove" : "close");
      }
      lane.outbox.dissolve();
    }
  }

  /** Forgets what it is owed in the component's log, and returns where that is. The rest is for `dissolve`. */
  surrender(): readonly number[] {
    return this.list.flatMap((lane) => (lane.kind === "shared" ? lane.outbox.surrender() : []));
  }

  /** Events in the component's log that were owed to another group are sent before anything else. */
  takeOver(positions: readonly number[]): void {
    const lane = new SharedLane(this.reader(Filter.NOTHING), this.environment);
    lane.outbox.takeOver(positions);
    this.replaced++;
    this.list.unshift(lane);
    if (this.isLossy) this.letGo([]);
  }

  /** Closes what is on disk; it stays for the next run. */
  async close(): Promise<void> {
    this.removeEmpty();
    if (!this.closed) for (const lane of this.list) if (lane.kind === "disk") this.leave(lane, "close");
    this.closed = true;
    await Promise.all(this.closing);
  }

  /** A group that drops holds nobody up: whatever is owed to it in the component's log, wherever it waits, is moved out of that. */
  private letGo(members: Iterable<Member>): void {
    this.replaced++;
    for (const [index, lane] of this.list.entries()) {
      if (lane.kind === "shared") this.list[index] = LossyLane.insteadOf(lane, this.buffer!, this.environment, members);
    }
  }

  /** Another kind of queue takes over: what the newest had not begun to send or to write it sends or writes. */
  private replace(newest: Lane, buffer: BufferSpec | undefined): void {
    this.replaced++;
    let rest = this.reader(Filter.NOTHING);
    if (newest.kind === "disk") rest = newest.giveIntake();
    if (newest.kind === "shared") rest = newest.outbox.exchangeReader(rest);
    rest.follow(this.filter);
    // One in memory that drops is made of it.
    this.list.push(this.kindOf(buffer) === "lossy" ? new SharedLane(rest, this.environment) : this.make(buffer, rest));
  }

  private make(buffer: BufferSpec | undefined, reader: LogReader): Lane {
    const kind = this.kindOf(buffer);
    if (kind === "lossy") return LossyLane.make(buffer!, this.environment);
    if (kind === "shared") return new SharedLane(reader, this.environment);
    return this.onDisk(this.folders!.next(), buffer!, reader);
  }

  private onDisk(folder: string, buffer: BufferSpec, reader: LogReader): DiskLane {
    const before = this.home?.leaving.get(folder)?.over;
    const lane = new DiskLane(folder, buffer, reader, this.environment, before);
    // One that drops takes at once what its reader has of the component's log.
    if (lane.isLossy) lane.redefine(buffer, this.filter);
    return lane;
  }

  private kindOf(buffer: BufferSpec | undefined): Lane["kind"] {
    if (buffer?.type === "disk" && this.folders !== undefined) return "disk";
    return buffer === undefined || buffer.whenFull === "block" ? "shared" : "lossy";
  }

  private reader(filter: Filter): LogReader {
    return new LogReader(this.environment.log, filter);
  }

  private removeEmpty(): void {
    if (this.closed) return;
    for (let i = this.list.length - 2; i >= 0; i--) {
      const lane = this.list[i]!;
      if (!lane.isEmpty) continue;
      this.list.splice(i, 1);
      this.droppedBefore += lane.dropped;
      if (lane.kind === "disk") this.leave(lane, "remove");
    }
  }

  /** Lets go of a queue on disk, with its folder or without. */
  private leave(lane: DiskLane, how: "close" | "remove"): void {
    const { folder } = lane;
    const over: Promise<void> = lane[how]()
      .catch((error: FlowctlError) => this.environment.failed(error))
      .finally(() => {
        this.closing.delete(over);
        if (this.home?.leaving.get(folder)?.over === over) this.home.leaving.delete(folder);
      });
    this.closing.add(over);
    this.home?.leaving.set(folder, { isRemoved: how === "remove", over });
  }
}

/** The buffer of a queue on disk that takes nothing any more. */
const LEFT_BEHIND: BufferSpec = { type: "disk", maxEvents: 0, maxBytes: 0, whenFull: "block" };

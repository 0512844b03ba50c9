import { type Limits, UNLIMITED } from "../limits.ts";
import { type EventLog, MAX_GAPS } from "./event-log.ts";
import { MAX_BATCH_EVENTS } from "./member.ts";

/**
 * How much may be published before a group that blocks is full. Asking all groups for each event would cost too much: what they
 * said is spent event by event, and they are asked again when nothing is left. What became free meanwhile is not counted in.
 */
export class Room {
  private readonly log: EventLog;
  /** What each group has room for; see `Group.room`. */
  private readonly groups: () => Iterable<{ readonly room: Limits }>;
  private events = 0;
  private bytes = 0;
  private isEndless = false;
  private waiter: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;

  constructor(log: EventLog, groups: () => Iterable<{ readonly room: Limits }>) {
    this.log = log;
    this.groups = groups;
  }

  /** One event of so many bytes was published. */
  spend(bytes: number): void {
    this.events--;
    this.bytes -= bytes;
  }

  /** Whether another event may be published. */
  get isLeft(): boolean {
    return (this.events > 0 && this.bytes > 0) || this.look();
  }

  /** Undefined when there is some; else a promise that resolves once there is, the same for all who wait. Never rejects. */
  wait(): Promise<void> | undefined {
    if (this.isLeft) return undefined;
    if (this.waiter === undefined) {
      let resolve = (): void => undefined;
      const promise = new Promise<void>((done) => {
        resolve = done;
      });
      this.waiter = { promise, resolve };
    }
    return this.waiter.promise;
  }

  /** There is always some from now on. */
  removeLimits(): void {
    this.isEndless = true;
  }

  /** Asks every group again, as something has changed. Returns whether an event may be published. */
  look(): boolean {
    let { maxEvents, maxBytes } = UNLIMITED;
    if (!this.isEndless) {
      maxEvents = this.gapsLeft();
      for (const { room } of this.groups()) {
        maxEvents = Math.min(maxEvents, room.maxEvents);
        maxBytes = Math.min(maxBytes, room.maxBytes);
      }
    }
    this.events = maxEvents;
    this.bytes = maxBytes;
    return maxEvents > 0 && maxBytes > 0;
  }

  /** Lets those go on who wait, if there is some now. */
  progressed(): void {
    if (this.waiter === undefined || !this.isLeft) return;
    const { resolve } = this.waiter;
    this.waiter = undefined;
    resolve();
  }

  /** How many events may be published before somebody has to look again how many gaps are in the log. */
  private gapsLeft(): number {
    const { log } = this;
    const left = MAX_GAPS - (log.next - log.base);
    return left > 0 ? left : Math.min(MAX_BATCH_EVENTS, MAX_GAPS - log.gaps);
  }
}

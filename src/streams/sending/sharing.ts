import type { Downstream } from "../../protocol/records.ts";
import { KeySlots } from "./key-slots.ts";
import { type Member, NO_SLOT } from "./member.ts";
import type { Outbox } from "./outbox.ts";
import { compileKey, type KeyReader } from "./partition-key.ts";

/** What one of several members is given at once, in events. */
const MAX_SHARE = 64;

/** How a group is shared by key. */
interface Partition {
  readonly path: string;
  readonly key: KeyReader;
  readonly slots: KeySlots;
}

/**
 * Decides which member of a group gets what waits: the one with the fewest events in flight, or, with `partition_by`, the one
 * that the event's key belongs to. Another key counts only once nothing is in flight, so that each key keeps its order.
 */
export class Sharing {
  private readonly members: ReadonlyMap<string, Member>;
  private partition: Partition | undefined;
  /** To be used as soon as nothing is in flight that was shared otherwise. */
  private next: { readonly partition: Partition | undefined } | undefined;

  constructor(members: ReadonlyMap<string, Member>, definitions: readonly Downstream[]) {
    this.members = members;
    this.partition = partitionOf(definitions);
  }

  /** The topology now says something else. */
  redefine(definitions: readonly Downstream[]): void {
    const path = definitions[0]!.partitionBy;
    const current = this.next === undefined ? this.partition : this.next.partition;
    if (path !== (current?.path ?? "")) this.next = { partition: partitionOf(definitions) };
  }

  membersChanged(): void {
    this.partition?.slots.membersChanged();
  }

  /** An event of the slot is done, or has to be sent again. */
  returned(slot: number): void {
    this.partition?.slots.returned(slot);
  }

  /** Gives a member some of what the outbox has next. Returns false when no member can take it. */
  give(outbox: Outbox): boolean {
    if (this.next !== undefined && !this.repartition()) return false;
    return this.partition === undefined && outbox.run > 0 ? this.giveRun(outbox) : this.giveOne(outbox);
  }

  private repartition(): boolean {
    for (const member of this.members.values()) if (member.inFlight > 0) return false;
    this.partition = this.next?.partition;
    this.next = undefined;
    for (const member of this.members.values()) member.forgetSlots(this.partition !== undefined);
    return true;
  }

  private giveRun(outbox: Outbox): boolean {
    const { run: waiting, runStart: position } = outbox;
    const member = this.leastLoaded(outbox.log.sizeOf(position));
    if (member === undefined) return false;
    // A member of several gets little at a time, so that all have work.
    const share = this.members.size === 1 ? waiting : Math.min(MAX_SHARE, Math.ceil(waiting / this.members.size));
    outbox.taken(member.addRun(outbox, position, share));
    return true;
  }

  private giveOne(outbox: Outbox): boolean {
    const position = outbox.peek()!;
    const event = outbox.log.get(position);
    if (event === undefined) throw new Error("an unacknowledged event is missing");
    const slot = this.partition === undefined ? NO_SLOT : this.partition.slots.slotOf(this.partition.key(event));
    const member = this.choose(slot, event.size);
    if (member === undefined) return false;
    outbox.taken(1);
    this.partition?.slots.sent(slot, member);
    member.add(event, outbox, position, slot);
    return true;
  }

  private choose(slot: number, size: number): Member | undefined {
    if (this.partition === undefined) return this.leastLoaded(size);
    const owner = this.partition.slots.memberOf(slot, this.members);
    return owner?.canTake(size) ? owner : undefined;
  }

  private leastLoaded(size: number): Member | undefined {
    let best: Member | undefined;
    for (const member of this.members.values()) {
      if (member.canTake(size) && (best === undefined || member.inFlight < best.inFlight)) best = member;
    }
    return best;
  }
}

function partitionOf(definitions: readonly Downstream[]): Partition | undefined {
  const path = definitions[0]!.partitionBy;
  return path === "" ? undefined : { path, key: compileKey(path), slots: new KeySlots() };
}

import { backoffDelay } from "../foundation/backoff.ts";
import type { FlowctlError } from "../foundation/errors.ts";
import type { EventView } from "../protocol/event-view.ts";
import type { Downstream } from "../protocol/records.ts";
import type { Credit } from "../protocol/stream-codec.ts";
import type { EventLog } from "./event-log.ts";
import { KeySlots } from "./key-slots.ts";
import { Member, type MemberTransport } from "./member.ts";
import type { KeyReader } from "./partition-key.ts";

const NO_SLOT = -1;

export interface GroupEnvironment {
  readonly log: EventLog;
  /** Runs `action` after `ms`; returns how to call it off. */
  schedule(ms: number, action: () => void): () => void;
  /** Told whenever an acknowledgement may have emptied the log or made room. */
  progressed(): void;
}

/**
 * All instances of one downstream component. It has its own cursor over the log; every event that it wants goes to one
 * of its members, and what a member did not acknowledge when it left goes to another, before anything newer.
 */
export class Group {
  readonly id: string;
  private readonly environment: GroupEnvironment;
  private readonly key: KeyReader | undefined;
  private readonly slots: KeySlots | undefined;
  private readonly members = new Map<string, Member>();
  private definition: Downstream;
  private types: ReadonlySet<string> | undefined;
  private cursor: number;
  /** Positions to be sent again, ascending. */
  private again: number[] = [];
  private readonly refusals = new Map<number, number>();
  private readonly delayed = new Map<number, () => void>();
  private ending = false;
  private blocked = false;
  private pumping = false;

  constructor(definition: Downstream, environment: GroupEnvironment, key: KeyReader | undefined) {
    this.id = definition.componentId;
    this.definition = definition;
    this.environment = environment;
    this.types = typesOf(definition);
    this.cursor = environment.log.next;
    this.key = key;
    this.slots = key === undefined ? undefined : new KeySlots();
  }

  get isBlocked(): boolean {
    return this.blocked;
  }

  /** Events that it has not been sent yet, or has to be sent again. */
  get waiting(): number {
    return this.environment.log.next - this.cursor + this.again.length + this.delayed.size;
  }

  get connected(): number {
    return this.members.size;
  }

  get partitionBy(): string {
    return this.definition.partitionBy;
  }

  /** Whether an event that is published now has to reach this group. */
  wants(event: EventView, deadLetter: boolean): boolean {
    if (deadLetter !== this.definition.deadLetters) return false;
    return this.types === undefined || deadLetter || this.types.has(event.type);
  }

  /** Opens a member. One of the same instance is ended first: what it had goes to the new one. */
  attach(instanceId: string, transport: MemberTransport, credit: Credit, replaced: FlowctlError): Member {
    const previous = this.members.get(instanceId);
    if (previous !== undefined) {
      previous.fail(replaced);
      this.detach(previous);
    }
    const member = new Member(instanceId, transport, {
      acknowledged: (position, slot) => this.acknowledged(position, slot),
      refused: (position, slot) => this.refused(position, slot),
      ready: () => this.ready(),
    });
    this.members.set(instanceId, member);
    this.slots?.membersChanged();
    member.grant(credit);
    if (this.ending) this.finishWhenIdle();
    else this.pump();
    return member;
  }

  /** The member's stream has ended. Harmless when it was detached already. */
  detach(member: Member): void {
    if (this.members.get(member.instanceId) === member) {
      this.members.delete(member.instanceId);
      this.slots?.membersChanged();
    }
    const { positions, slots } = member.detach();
    if (this.slots !== undefined) for (const slot of slots) this.slots.returned(slot);
    if (positions.length > 0) this.again = merge(this.again, positions);
    this.pump();
  }

  /** Sends what can be sent now. */
  pump(): void {
    if (this.pumping) return;
    this.pumping = true;
    try {
      this.blocked = !this.distribute();
    } finally {
      this.pumping = false;
    }
    for (const member of this.members.values()) member.flush();
  }

  /** Nothing will be published any more: members are told so once everything is acknowledged. */
  end(): void {
    this.ending = true;
    this.finishWhenIdle();
  }

  /** The topology now says something else of this group. What it was owed before, it still gets. */
  redefine(definition: Downstream): void {
    const { log } = this.environment;
    const owed: number[] = [];
    for (; this.cursor < log.next; this.cursor++) {
      const event = log.get(this.cursor);
      if (event !== undefined && this.wants(event, log.isDeadLetter(this.cursor))) owed.push(this.cursor);
    }
    if (owed.length > 0) this.again = merge(this.again, owed);
    this.definition = definition;
    this.types = typesOf(definition);
  }

  /** The group is gone from the topology: nothing has to reach it any more. */
  dissolve(reason: FlowctlError): void {
    const { log } = this.environment;
    for (const member of [...this.members.values()]) {
      member.fail(reason);
      this.again = merge(this.again, member.detach().positions);
    }
    this.members.clear();
    for (const [position, cancel] of this.delayed) {
      cancel();
      this.again = merge(this.again, [position]);
    }
    this.delayed.clear();
    for (const position of this.again) log.acknowledge(position);
    this.again = [];
    for (; this.cursor < log.next; this.cursor++) {
      const event = log.get(this.cursor);
      if (event !== undefined && this.wants(event, log.isDeadLetter(this.cursor))) log.acknowledge(this.cursor);
    }
    this.environment.progressed();
  }

  /** Returns false when something waits that no member can take. */
  private distribute(): boolean {
    const { log } = this.environment;
    for (;;) {
      const again = this.again[0];
      let position: number;
      let event: EventView | undefined;
      if (again !== undefined) {
        position = again;
        event = log.get(position);
      } else {
        if (this.cursor >= log.next) return true;
        position = this.cursor;
        event = log.get(position);
        if (event === undefined || !this.wants(event, log.isDeadLetter(position))) {
          this.cursor++;
          continue;
        }
      }
      if (event === undefined) throw new Error("an event that was acknowledged by nobody is gone");
      const slot = this.slots === undefined ? NO_SLOT : this.slots.slotOf(this.key!(event));
      const member = this.choose(slot, event.size);
      if (member === undefined) return false;
      if (again !== undefined) this.again.shift();
      else this.cursor++;
      if (this.slots !== undefined) this.slots.sent(slot, member);
      member.add(event, position, slot);
    }
  }

  private choose(slot: number, size: number): Member | undefined {
    if (this.slots !== undefined) {
      const owner = this.slots.memberOf(slot, this.members);
      return owner?.canTake(size) ? owner : undefined;
    }
    let best: Member | undefined;
    for (const member of this.members.values()) {
      if (member.canTake(size) && (best === undefined || member.inFlight < best.inFlight)) best = member;
    }
    return best;
  }

  private acknowledged(position: number, slot: number): void {
    if (this.slots !== undefined) this.slots.returned(slot);
    if (this.refusals.size > 0) this.refusals.delete(position);
    this.environment.log.acknowledge(position);
  }

  private refused(position: number, slot: number): void {
    if (this.slots !== undefined) this.slots.returned(slot);
    const attempt = (this.refusals.get(position) ?? 0) + 1;
    this.refusals.set(position, attempt);
    const cancel = this.environment.schedule(backoffDelay(attempt, { initialMs: 50, maxMs: 5_000 }), () => {
      this.delayed.delete(position);
      this.again = merge(this.again, [position]);
      this.pump();
    });
    this.delayed.set(position, cancel);
  }

  private ready(): void {
    if (this.blocked) this.pump();
    if (this.ending) this.finishWhenIdle();
    this.environment.progressed();
  }

  private finishWhenIdle(): void {
    if (this.waiting > 0 && this.hasWork()) return;
    for (const member of this.members.values()) if (member.inFlight > 0) return;
    for (const member of this.members.values()) member.finish();
  }

  private hasWork(): boolean {
    this.pump();
    return this.waiting > 0;
  }
}

function typesOf(definition: Downstream): ReadonlySet<string> | undefined {
  return definition.types.length === 0 ? undefined : new Set(definition.types);
}

/** Merges two ascending lists into one. */
function merge(a: readonly number[], b: readonly number[]): number[] {
  const all = [...a, ...b];
  return all.sort((x, y) => x - y);
}

import { isDeepStrictEqual } from "node:util";
import type { FlowctlError } from "../../foundation/errors.ts";
import type { EventView } from "../../protocol/event-view.ts";
import type { BufferSpec, Downstream } from "../../protocol/records.ts";
import type { MemoryPool } from "../../protocol/slab-pool.ts";
import type { Credit } from "../../protocol/stream-codec.ts";
import type { Limits } from "../limits.ts";
import type { EventLog } from "./event-log.ts";
import { Filter } from "./filter.ts";
import { Given } from "./given.ts";
import { GroupBudget } from "./group-budget.ts";
import { Lanes, type SharedDiskHome } from "./lanes.ts";
import { Member, type MemberTransport } from "./member.ts";
import { SettledMark } from "./settled-mark.ts";
import { Sharing } from "./sharing.ts";

export interface GroupEnvironment {
  readonly log: EventLog;
  readonly memory: MemoryPool | undefined;
  /** What a group without a buffer of its own may be behind. */
  readonly limits: Limits;
  /** Left out: buffers on disk are none. */
  readonly disk: SharedDiskHome | undefined;
  /** Runs `action` after `ms`; returns how to call it off. */
  schedule(ms: number, action: () => void): () => void;
  /** Told whenever an acknowledgement may have emptied a queue or made room. */
  progressed(): void;
}

/**
 * All instances of one downstream component. Every event that it wants goes to one of its members, and what a member did not
 * acknowledge when it left goes to another, before anything newer. What waits for it is in its lanes.
 */
export class Group {
  readonly id: string;
  private readonly environment: GroupEnvironment;
  private readonly members = new Map<string, Member>();
  private definitions: readonly Downstream[];
  private filter: Filter;
  private readonly given: Given;
  private readonly budget: GroupBudget;
  private readonly lanes: Lanes;
  private readonly sharing: Sharing;
  private readonly marks = new SettledMark();
  /** Nothing will be published any more at all. */
  private ended = false;
  private blocked = false;
  private pumping = false;
  private pumpAgain = false;
  private resting = false;

  /** @param definitions What the topology says of the group: one edge, or two when dead letters go there as well. */
  constructor(id: string, definitions: readonly Downstream[], environment: GroupEnvironment) {
    this.id = id;
    this.definitions = definitions;
    this.environment = environment;
    this.filter = Filter.of(definitions);
    this.given = new Given(environment.log, this.filter);
    this.budget = new GroupBudget(environment.limits);
    this.budget.redefine(bufferOf(definitions));
    const { members } = this;
    this.sharing = new Sharing(members, definitions);
    const { log, memory, disk, schedule } = environment;
    this.lanes = new Lanes(id, this.filter, bufferOf(definitions), disk, {
      log,
      memory,
      budget: this.budget,
      schedule,
      changed: () => this.changed(),
      failed: (error) => disk?.onFailure(error),
      get hasMembers() {
        return members.size > 0;
      },
    });
  }

  /** Something waits for room with its members. While none is connected nothing is slow: it is not there. */
  get isBlocked(): boolean {
    return this.blocked && this.members.size > 0;
  }

  /** Events that it has not been sent yet, or has to be sent again. */
  get waiting(): number {
    return this.budget.outstanding + this.lanes.stored - this.held;
  }

  /** Events that its members have and have not acknowledged. */
  get held(): number {
    let held = 0;
    for (const member of this.members.values()) held += member.inFlight;
    return held;
  }

  get connected(): number {
    return this.members.size;
  }

  /** Events that were dropped because its buffer was full. */
  get dropped(): number {
    return this.lanes.dropped;
  }

  /** What may be published as far as this group is concerned; nothing once it is zero or less. */
  get room(): Limits {
    return this.budget.room;
  }

  /** It takes nothing new, and has acknowledged everything that it was owed. */
  get hasDrained(): boolean {
    return this.filter.takesNothing && this.lanes.isEmpty;
  }

  /** The last mark before which nothing is owed to it; 0: there was none. */
  get settledMark(): number {
    return this.marks.last;
  }

  /** Whether something was still owed to it from before its last mark when `settledMark` was asked last. */
  get awaitsMark(): boolean {
    return this.marks.isAwaited;
  }

  /** From now on what it is owed is watched until it has acknowledged it. A mark that is not above the last is old. */
  setMark(mark: number): void {
    this.marks.set(mark, () => this.lanes.marker(() => this.members.values()));
  }

  /** Nothing is owed to it. */
  get isIdle(): boolean {
    return this.lanes.isEmpty;
  }

  /** Whether an event that is published now is for this group. Throws `protocol/malformed` for a damaged event. */
  wants(event: EventView, deadLetter: boolean): boolean {
    return this.filter.wants(event, deadLetter);
  }

  /**
   * Takes an event that it wants. True: it owes an acknowledgement of it, in the log to which it has to be appended. False: it
   * does not, as its buffer drops; it has kept the event or dropped it.
   */
  admit(event: EventView): boolean {
    if (this.lanes.isLossy) {
      this.lanes.offer(event);
      return false;
    }
    this.budget.take(1, event.size);
    return true;
  }

  /** Opens a member. One of the same instance is ended first: what it had goes to the new one. */
  attach(instanceId: string, transport: MemberTransport, credit: Credit, replaced: FlowctlError): Member {
    const previous = this.members.get(instanceId);
    if (previous !== undefined) {
      previous.fail(replaced);
      this.detach(previous);
    }
    const member = new Member(instanceId, transport, {
      memory: this.environment.memory,
      returned: (slot) => this.sharing.returned(slot),
      ready: () => this.ready(),
    });
    this.members.set(instanceId, member);
    this.sharing.membersChanged();
    member.grant(credit);
    this.lanes.fill();
    if (this.isEnding) this.finishWhenIdle();
    else this.pump();
    return member;
  }

  /** The member's stream has ended. Harmless when it was detached already. */
  detach(member: Member): void {
    if (this.members.get(member.instanceId) === member) {
      this.members.delete(member.instanceId);
      this.sharing.membersChanged();
    }
    member.detach();
    this.pump();
    this.environment.progressed();
  }

  /** Sends what can be sent now. */
  pump(): void {
    if (this.pumping) {
      this.pumpAgain = true;
      return;
    }
    this.pumping = true;
    try {
      do {
        this.pumpAgain = false;
        this.blocked = !this.distribute();
      } while (this.pumpAgain);
    } finally {
      this.pumping = false;
    }
    this.lanes.fill();
    for (const member of this.members.values()) member.flush();
  }

  /** Its members are given nothing more. */
  rest(): void {
    this.resting = true;
  }

  /** Nothing will be published any more: members are told so once everything is acknowledged. */
  end(): void {
    this.ended = true;
    this.finishWhenIdle();
  }

  /** The topology now says something else of this group. What it was owed before, it still gets. */
  redefine(definitions: readonly Downstream[]): void {
    if (isDeepStrictEqual(definitions, this.definitions)) return;
    this.definitions = definitions;
    this.filter = Filter.of(definitions);
    this.given.follow(this.filter);
    this.budget.redefine(bufferOf(definitions));
    this.lanes.redefine(this.filter, bufferOf(definitions), [...this.members.values()]);
    this.sharing.redefine(definitions);
    this.changed();
  }

  /**
   * The group is gone from the topology: its members are told why. With `handsOn` returns where in the component's log is what it was owed
   * there, in order; it is owed to the group until `dissolve`.
   */
  part(reason: FlowctlError, handsOn: boolean): readonly number[] {
    for (const member of [...this.members.values()]) {
      member.fail(reason);
      member.detach();
    }
    this.members.clear();
    return handsOn ? this.lanes.surrender() : [];
  }

  /** To be called after `part`, with what that returned: nothing has to reach the group any more. What is in its buffer on disk stays there. */
  dissolve(owed: readonly number[]): void {
    for (const position of owed) this.environment.log.acknowledge(position, 1);
    this.lanes.dissolve();
    this.environment.progressed();
  }

  /**
   * Owes an acknowledgement of these, too, as far as it wants them and was not given them when they were published; each has to be owed to
   * somebody else at this moment. In order, each once.
   */
  takeOver(positions: readonly number[]): void {
    const { log } = this.environment;
    const wanted = positions.filter((position) => {
      const event = log.get(position)!;
      return this.filter.wants(event, log.isDeadLetter(position)) && !this.given.has(position, event);
    });
    for (const position of wanted) {
      log.share(position);
      this.budget.take(1, log.sizeOf(position));
    }
    if (wanted.length > 0) this.lanes.takeOver(wanted);
    this.changed();
  }

  /** Closes its buffers on disk; what is in them stays for the next run. */
  async close(): Promise<void> {
    await this.lanes.close();
  }

  /** Whether members are to be told the end once nothing is owed: nothing new can come. */
  private get isEnding(): boolean {
    return this.ended || this.filter.takesNothing;
  }

  /** Returns false when something waits that no member can take. */
  private distribute(): boolean {
    if (this.resting) return true;
    for (;;) {
      const lane = this.lanes.current();
      if (lane === undefined) return true;
      // More is on its way from the disk, if anybody is there to read it for.
      if (!lane.outbox.hasNext) return this.members.size > 0;
      if (!this.sharing.give(lane.outbox)) return false;
    }
  }

  /** Something can be sent, or is done, or is to be sent otherwise than before. */
  private changed(): void {
    this.pump();
    if (this.isEnding) this.finishWhenIdle();
    this.environment.progressed();
  }

  private ready(): void {
    if (this.blocked) this.pump();
    if (this.isEnding) this.finishWhenIdle();
    this.environment.progressed();
  }

  private finishWhenIdle(): void {
    if (!this.lanes.isEmpty) this.pump();
    if (!this.lanes.isEmpty) return;
    for (const member of this.members.values()) member.finish(!this.ended);
  }
}

/** The buffer that the inputs ask for: where there are two of them, the first that has one. */
function bufferOf(definitions: readonly Downstream[]): BufferSpec | undefined {
  return definitions.find(({ buffer }) => buffer !== undefined)?.buffer;
}

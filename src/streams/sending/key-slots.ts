import type { Member } from "./member.ts";

const SLOTS = 1024;

/**
 * Decides which member of a group gets the events of a key, so that events with the same key keep their order on the
 * same member. Keys fall into slots; each slot belongs to the member with the highest weight for it (rendezvous
 * hashing), so that a member that joins or leaves moves only its own share. A slot that moves stays with its old member
 * until everything sent to it is acknowledged: that is what keeps the order.
 */
export class KeySlots {
  private readonly inFlight = new Uint32Array(SLOTS);
  private readonly holder = new Array<Member | undefined>(SLOTS);
  private owners: (Member | undefined)[] = new Array<Member | undefined>(SLOTS);

  /** The slot of a key, 0 to 1023. */
  slotOf(key: string): number {
    return hash(key) % SLOTS;
  }

  /** Call after members joined or left. */
  membersChanged(): void {
    this.owners = new Array<Member | undefined>(SLOTS);
  }

  /** The member that the slot's next event goes to; undefined while it has to wait for an older one elsewhere. */
  memberOf(slot: number, members: ReadonlyMap<string, Member>): Member | undefined {
    let owner = this.owners[slot];
    if (owner === undefined) {
      owner = heaviest(slot, members);
      this.owners[slot] = owner;
    }
    return this.inFlight[slot]! > 0 && this.holder[slot] !== owner ? undefined : owner;
  }

  sent(slot: number, member: Member): void {
    this.inFlight[slot]!++;
    this.holder[slot] = member;
  }

  /** An event of the slot is acknowledged, or has to be sent again. */
  returned(slot: number): void {
    this.inFlight[slot]!--;
  }
}

function heaviest(slot: number, members: ReadonlyMap<string, Member>): Member | undefined {
  let best: Member | undefined;
  let weight = -1;
  for (const member of members.values()) {
    const own = hash(`${slot}/${member.instanceId}`);
    if (own > weight || (own === weight && best !== undefined && member.instanceId < best.instanceId)) {
      best = member;
      weight = own;
    }
  }
  return best;
}

/** FNV-1a over UTF-16 code units with a final avalanche (the 32-bit finalizer of MurmurHash3). */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}

import { fakeClock } from "../../foundation/clock.fake.ts";
import { type Authority, type IssuedCertificate, identityOf } from "../../identity/authority.ts";
import { testAuthority, testIdentity } from "../../identity/identity.fake.ts";
import { type Peer, peerOfPem } from "../../identity/peer.ts";
import type { TlsIdentity } from "../../identity/tls-identity.ts";
import { loadKeptState } from "../kept-state.ts";
import type { NewEvent } from "../pipeline-events.ts";
import { StateWriter } from "../state-writer.ts";
import { createMemoryStore } from "../store/memory-store.ts";
import type { Store } from "../store/store.ts";
import { Access } from "./access.ts";
import { HttpGate } from "./http-gate.ts";
import { Sessions } from "./sessions.ts";

/** Access to the pipeline `p`, on a store that outlives it, and a clock that stands until a test moves it. */
export class AccessWorld {
  readonly clock = fakeClock(1_000_000);
  readonly store: Store = createMemoryStore();
  readonly events: NewEvent[] = [];
  authority: Authority;
  /** What is in the identity folder. */
  owner: TlsIdentity | undefined;
  /** What was read of the folder arrives only then. */
  reading: Promise<void> | undefined;
  access!: Access;
  sessions!: Sessions;
  gate!: HttpGate;

  private constructor(authority: Authority, owner: TlsIdentity) {
    this.authority = authority;
    this.owner = owner;
  }

  static async create(): Promise<AccessWorld> {
    const authority = await testAuthority();
    const world = new AccessWorld(authority, await newOwner(authority));
    await world.restart();
    return world;
  }

  /** As a control plane that has just started. */
  async restart(): Promise<void> {
    this.access = await Access.open({
      identity: {
        authority: this.authority,
        started: async () => undefined,
        readOperator: async () => {
          const { owner } = this;
          await this.reading;
          return owner;
        },
        renewOperator: async () => {
          this.owner = await newOwner(this.authority);
          return this.owner;
        },
      },
      writer: new StateWriter(this.store, () => undefined),
      clock: this.clock,
      kept: (await loadKeptState(this.store)).grants,
      record: (event) => this.events.push(event),
    });
    this.sessions = new Sessions({ clock: this.clock, isHolder: (serial) => this.access.isHolder(serial) });
    this.gate = new HttpGate(this.access, this.sessions);
  }

  identityOf(issued: IssuedCertificate): TlsIdentity {
    return identityOf(this.authority, issued);
  }
}

/** Who shows a certificate. */
export function peerWith({ certificate }: Pick<TlsIdentity, "certificate">): Peer {
  const peer = peerOfPem(certificate);
  if (peer === undefined) throw new Error("the certificate has no name");
  return peer;
}

function newOwner(authority: Authority): Promise<TlsIdentity> {
  return testIdentity(authority, { role: "operator", pipeline: "p" });
}

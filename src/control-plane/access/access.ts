import { X509Certificate } from "node:crypto";
import type { Clock } from "../../foundation/clock.ts";
import { authorityId, type IssuedCertificate } from "../../identity/authority.ts";
import { httpTokenOf, isSameHash, secretHash } from "../../identity/http-token.ts";
import { describeName } from "../../identity/names.ts";
import type { Peer } from "../../identity/peer.ts";
import type { TlsIdentity } from "../../identity/tls-identity.ts";
import type { AccessGrant, AccessRole } from "../../protocol/records.ts";
import type { PipelineIdentity } from "../joins.ts";
import { forgetGrant, type KeptGrant, keepGrant } from "../kept-state.ts";
import type { NewEvent } from "../pipeline-events.ts";
import type { StateWriter } from "../state-writer.ts";
import { invalidName, nameTaken, noSuchName, revoked, tooMany } from "./access-errors.ts";

export interface AccessOptions {
  readonly identity: PipelineIdentity;
  readonly writer: StateWriter;
  readonly clock: Pick<Clock, "now">;
  readonly kept: readonly KeptGrant[];
  /** Told of every change, which is for people to look at afterwards. */
  readonly record: (event: NewEvent) => void;
}

/** What somebody who has access is known by. */
interface Holder {
  /** By which the gRPC certificate is known. */
  readonly serial: string;
  /** By which the HTTP token is known. */
  readonly tokenHash: Buffer;
}

interface Grant extends AccessGrant, Holder {}

/** What the owner is called among those who have access: nobody else is. */
export const OWNER = "owner";
/** So many others can have access at once: each is looked at for every token that is shown. */
export const MOST_GRANTS = 100;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/**
 * Who has access to the pipeline: its owner, by the certificate in the identity folder, and those to whom it was granted, until it is revoked.
 * Keeps serial numbers and hashes of theirs, and nothing that one could show in their place. Whoever it does not know is refused.
 */
export class Access {
  readonly #options: AccessOptions;
  readonly #grants = new Map<string, Grant>();
  readonly #followers = new Map<string, Set<() => void>>();
  #owner: Holder | undefined;
  /** Whoever looks at who the owner is, or makes another one: what was read before is not taken for the newest. */
  #lastTurn: Promise<void> = Promise.resolve();

  private constructor(options: AccessOptions) {
    this.#options = options;
    const authority = authorityId(options.identity.authority);
    for (const kept of options.kept) {
      // Certificates of an authority that was lost end with it, and so does what else was given with them.
      if (kept.authority !== authority) forgetGrant(options.writer, kept.name);
      else this.#grants.set(kept.name, { ...kept, tokenHash: Buffer.from(kept.tokenHash, "hex") });
    }
  }

  /** Who has access by now. */
  static async open(options: AccessOptions): Promise<Access> {
    const access = new Access(options);
    await access.#readOwner();
    return access;
  }

  /**
   * Throws `identity/revoked` for an operator or a reader who has no access (any more); of others nothing is known. A promise, which rejects
   * so, where the identity folder has to be asked first.
   */
  require(peer: Peer): Promise<void> | undefined {
    const { role } = peer.name;
    if ((role !== "operator" && role !== "reader") || this.isHolder(peer.serial)) return undefined;
    if (role === "reader") throw revoked(peer);
    return this.#readOwner().then(() => {
      if (!this.isHolder(peer.serial)) throw revoked(peer);
    });
  }

  /** Calls back, at most once, when somebody whom `require` let in loses access. Returns how to stop that. */
  follow(peer: Peer, onRevoked: (error: Error) => void): () => void {
    const followers = this.#followers.get(peer.serial) ?? new Set();
    this.#followers.set(peer.serial, followers);
    const tell = (): void => onRevoked(revoked(peer));
    followers.add(tell);
    return () => {
      followers.delete(tell);
      if (followers.size === 0 && this.#followers.get(peer.serial) === followers) this.#followers.delete(peer.serial);
    };
  }

  /** Whether the certificate of this serial number gives access now. */
  isHolder(serial: string): boolean {
    return this.#holders().some((holder) => holder.serial === serial);
  }

  /** Whether an HTTP token is that of somebody who has access. Takes as long whoever's it is. */
  isToken(token: string): boolean {
    const hash = secretHash(token);
    let found = false;
    for (const holder of this.#holders()) found = isSameHash(holder.tokenHash, hash) || found;
    return found;
  }

  /** Resolves with what only the answer has, once the grant survives a crash. Rejects with `access/…`. */
  async grant(name: string, role: AccessRole, by: Peer | undefined): Promise<IssuedCertificate> {
    if (!NAME.test(name) || name === OWNER) throw invalidName(name);
    const { identity, writer, clock, record } = this.#options;
    const refuse = (): void => {
      if (this.#grants.has(name)) throw nameTaken(name);
      if (this.#grants.size >= MOST_GRANTS) throw tooMany(MOST_GRANTS);
    };
    refuse();
    const { authority } = identity;
    const issued = await authority.issue({ role, pipeline: authority.pipeline });
    // Another call may have been faster: one for that name, or one that takes the access of who grants this.
    refuse();
    if (by !== undefined && !this.isHolder(by.serial)) throw revoked(by);
    const grant: Grant = {
      ...{ name, role, grantedAt: clock.now(), grantedBy: this.#nameOf(by) },
      ...holderOf(issued),
    };
    this.#grants.set(name, grant);
    keepGrant(writer, { ...grant, tokenHash: grant.tokenHash.toString("hex"), authority: authorityId(authority) });
    record({ type: "access.granted", message: `${name} as ${role}, by ${grant.grantedBy}` });
    await writer.durable();
    return issued;
  }

  /** Whoever had that name is refused when this returns; it resolves once that survives a crash. Rejects with `access/not-found`. */
  async revoke(name: string, by: Peer | undefined): Promise<void> {
    const grant = this.#grants.get(name);
    if (grant === undefined) throw noSuchName(name);
    const { writer, record } = this.#options;
    const who = this.#nameOf(by);
    this.#grants.delete(name);
    forgetGrant(writer, name);
    record({ type: "access.revoked", message: `${name}, by ${who}` });
    this.#dismiss(grant.serial);
    await writer.durable();
  }

  /** To whom access was granted, by name. */
  list(): readonly AccessGrant[] {
    return [...this.#grants.values()]
      .map(({ name, role, grantedAt, grantedBy }) => ({ name, role, grantedAt, grantedBy }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Makes the owner's certificate anew. The former one is refused when this resolves, and its HTTP token. */
  rotateOwner(by: Peer | undefined): Promise<void> {
    const { identity, record } = this.#options;
    const who = this.#nameOf(by);
    return this.#inTurn(async () => {
      this.#setOwner(await identity.renewOperator());
      record({ type: "access.rotated", message: `the certificate of the owner, by ${who}` });
    });
  }

  #holders(): readonly Holder[] {
    return [...(this.#owner === undefined ? [] : [this.#owner]), ...this.#grants.values()];
  }

  #nameOf(peer: Peer | undefined): string {
    const grant = [...this.#grants.values()].find(({ serial }) => serial === peer?.serial);
    if (grant !== undefined) return grant.name;
    return peer === undefined || peer.serial === this.#owner?.serial ? OWNER : describeName(peer.name);
  }

  #readOwner(): Promise<void> {
    return this.#inTurn(async () => {
      const owner = await this.#options.identity.readOperator();
      if (owner !== undefined) this.#setOwner(owner);
    });
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#lastTurn.then(work);
    this.#lastTurn = done.catch(() => undefined);
    return done;
  }

  #setOwner(identity: TlsIdentity): void {
    const before = this.#owner;
    this.#owner = holderOf({ certificate: identity.certificate.toString(), key: identity.key.toString() });
    if (before !== undefined && before.serial !== this.#owner.serial) this.#dismiss(before.serial);
  }

  #dismiss(serial: string): void {
    const followers = this.#followers.get(serial) ?? [];
    this.#followers.delete(serial);
    for (const tell of [...followers]) tell();
  }
}

function holderOf({ certificate, key }: IssuedCertificate): Holder {
  const { serialNumber } = new X509Certificate(certificate);
  return { serial: serialNumber.toLowerCase(), tokenHash: secretHash(httpTokenOf({ key: Buffer.from(key) })) };
}

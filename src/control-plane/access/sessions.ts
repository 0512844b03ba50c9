import { randomBytes } from "node:crypto";
import type { Clock } from "../../foundation/clock.ts";
import { isSameHash, secretHash } from "../../identity/http-token.ts";

/** So long can a code be redeemed, in milliseconds. */
export const CODE_LIFE_MS = 5 * 60_000;
/** So long a session lasts, in milliseconds. */
export const SESSION_LIFE_MS = 8 * 60 * 60_000;
/** Of each, for one holder: its oldest go first. */
const MOST = 32;
const SECRET_BYTES = 32;

export interface SessionsOptions {
  /** Whether whoever opened a session still has access. */
  readonly isHolder: (serial: string) => boolean;
  readonly clock: Pick<Clock, "elapsed">;
}

interface Kept {
  readonly hash: Buffer;
  readonly holder: string;
  /** By `elapsed` of the clock. */
  readonly ends: number;
  /** Of a session: where it is good. */
  readonly place: string;
}

/**
 * Sessions of browsers. A code is redeemed once for a session, which is good at one place (the host and port that the browser knows the
 * control plane by) until it ends, or its holder loses access. Kept in memory alone, as hashes.
 */
export class Sessions {
  readonly #options: SessionsOptions;
  #codes: readonly Kept[] = [];
  #sessions: readonly Kept[] = [];

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  /** A new code, of whoever has the certificate of this serial number. */
  open(holder: string): string {
    const code = newSecret();
    this.#codes = added(this.#living(this.#codes), this.#keep(code, { holder, place: "", lifeMs: CODE_LIFE_MS }));
    return code;
  }

  /** The session that a code opens, once; undefined when it was used, has expired, or never was one. */
  redeem(code: string, place: string): string | undefined {
    const codes = this.#living(this.#codes);
    const found = findSecret(codes, code);
    if (found === undefined) return undefined;
    this.#codes = codes.filter((one) => one !== found);
    const session = newSecret();
    const kept = this.#keep(session, { holder: found.holder, place, lifeMs: SESSION_LIFE_MS });
    this.#sessions = added(this.#living(this.#sessions), kept);
    return session;
  }

  isOpen(session: string, place: string): boolean {
    this.#sessions = this.#living(this.#sessions);
    return findSecret(this.#sessions, session)?.place === place;
  }

  #keep(secret: string, { holder, place, lifeMs }: Pick<Kept, "holder" | "place"> & { lifeMs: number }): Kept {
    return { hash: secretHash(secret), holder, place, ends: this.#options.clock.elapsed() + lifeMs };
  }

  #living(kept: readonly Kept[]): readonly Kept[] {
    const { clock, isHolder } = this.#options;
    const now = clock.elapsed();
    const holds = new Map<string, boolean>();
    const has = (holder: string): boolean => {
      const known = holds.get(holder) ?? isHolder(holder);
      holds.set(holder, known);
      return known;
    };
    return kept.filter(({ ends, holder }) => now < ends && has(holder));
  }
}

function newSecret(): string {
  return randomBytes(SECRET_BYTES).toString("base64url");
}

function added(kept: readonly Kept[], one: Kept): readonly Kept[] {
  const own = kept.filter(({ holder }) => holder === one.holder);
  const oldest = own.length < MOST ? undefined : own[0];
  return [...kept.filter((other) => other !== oldest), one];
}

/** Looks at all of them, so that how long it takes says nothing. */
function findSecret(kept: readonly Kept[], secret: string): Kept | undefined {
  const hash = secretHash(secret);
  let found: Kept | undefined;
  for (const one of kept) if (isSameHash(one.hash, hash)) found = one;
  return found;
}

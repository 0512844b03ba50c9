import type { Name } from "./names.ts";

/** What proves to peers who one is, each part in PEM. */
export interface TlsIdentity {
  /** The authority of the pipeline: whose certificates are trusted. */
  readonly ca: Buffer;
  readonly certificate: Buffer;
  readonly key: Buffer;
}

/** An identity that is renewed from time to time: connections that are made from then on use the new one. */
export interface IdentitySource {
  /** Whom it proves one to be. It stays the same. */
  readonly name: Name;
  current(): TlsIdentity;
  /** Calls back after each change. Returns how to stop that. */
  onChange(listener: () => void): () => void;
}

/** One that can be changed. */
export interface ChangingIdentity extends IdentitySource {
  change(identity: TlsIdentity): void;
}

/** A source that gives `first` until it is changed. */
export function changingIdentity(name: Name, first: TlsIdentity): ChangingIdentity {
  let identity = first;
  const listeners = new Set<() => void>();
  return {
    name,
    current: () => identity,
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    change(next) {
      identity = next;
      for (const listener of listeners) listener();
    },
  };
}

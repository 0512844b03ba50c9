/**
 * Where the control plane keeps what has to survive it: small values by key, in the order of the keys. One process at a
 * time. Errors are FlowctlErrors with codes `store/…`; after one the caller must not go on as if it had been written.
 */
export interface Store {
  /** Every key that begins with `prefix`, with its value, in the order of the keys. */
  entries(prefix: string): Promise<readonly (readonly [key: string, value: Uint8Array])[]>;
  /**
   * All of the changes or none of them, also when the process is killed meanwhile. Resolves when they survive a crash of
   * the process; with `durable`, when they survive a crash of the machine.
   */
  write(changes: readonly StoreChange[], options: { readonly durable: boolean }): Promise<void>;
  /** Waits for writes that were begun. Idempotent. */
  close(): Promise<void>;
}

export type StoreChange =
  | { readonly type: "put"; readonly key: string; readonly value: Uint8Array }
  | { readonly type: "del"; readonly key: string };

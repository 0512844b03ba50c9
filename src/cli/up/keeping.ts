import { FlowctlError } from "../../foundation/errors.ts";
import type { KeptPipeline } from "../../protocol/records.ts";
import type { CommandContext } from "../command.ts";
import type { ControlPlaneAccess } from "../control-plane-access.ts";
import type { Wanted } from "./change.ts";
import { type Kept, keptOf, openKept, sealKept, withComponents } from "./kept.ts";

/** What the control plane keeps to go back to; undefined when it does not say: one of an earlier version, or none. */
export async function keptBefore(access: ControlPlaneAccess, signal: AbortSignal): Promise<KeptPipeline | undefined> {
  return leniently(signal, () => access.call(signal, (client, inner) => client.keptPipeline(inner)));
}

/**
 * Gives the control plane what was carried out, for a later command to go back to. Returns that, or undefined where it could not
 * be kept: what was changed works without. `onGiven` is told before: an answer that is not waited for may be one that was given.
 */
export async function keepCarriedOut(
  { deps }: Pick<CommandContext, "deps">,
  access: ControlPlaneAccess,
  carriedOut: {
    readonly wanted: Wanted;
    readonly kept: KeptPipeline | undefined;
    readonly only: ReadonlySet<string> | undefined;
  },
  signal: AbortSignal,
  onGiven: (sealed: Uint8Array) => void,
): Promise<Uint8Array | undefined> {
  return leniently(signal, async () => {
    const { wanted, kept, only } = carriedOut;
    const key = await deps.homeKey();
    const now = keptOf(wanted.deployment, wanted.desired, key, wanted.envFile);
    const all = only === undefined ? now : amongLatest(now, kept, only, key);
    if (all === undefined) return undefined;
    const sealed = sealKept(all, key);
    onGiven(sealed);
    await access.call(signal, (client, inner) => client.keepPipeline(sealed, inner));
    return sealed;
  });
}

/** The rest of what runs may not be what the file says by now. */
function amongLatest(
  now: Kept,
  kept: KeptPipeline | undefined,
  only: ReadonlySet<string>,
  key: Uint8Array,
): Kept | undefined {
  const latest = kept?.latest && openKept(kept.latest, key);
  return latest && withComponents(latest, now, only);
}

/** Nothing that was kept is gone back to any more. */
export async function forgetKept(access: ControlPlaneAccess, signal: AbortSignal): Promise<void> {
  await leniently(signal, () => access.call(signal, (client, inner) => client.keepPipeline(new Uint8Array(), inner)));
}

async function leniently<T>(signal: AbortSignal, what: () => Promise<T>): Promise<T | undefined> {
  try {
    return await what();
  } catch (error) {
    if (signal.aborted || !(error instanceof FlowctlError)) throw error;
    return undefined;
  }
}

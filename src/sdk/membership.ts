import type { RegistryClient, Working } from "../client/client.ts";
import { joinPipeline } from "../client/registry-client.ts";
import { backoffDelay } from "../foundation/backoff.ts";
import type { Clock } from "../foundation/clock.ts";
import { withDeadline } from "../foundation/deadline.ts";
import { FlowctlError } from "../foundation/errors.ts";
import type { Logger } from "../foundation/logger.ts";
import type { IssuedCertificate } from "../identity/authority.ts";
import { type JoiningFiles, readJoining, replaceJoining } from "../identity/joining-files.ts";
import { describeName, type InstanceName } from "../identity/names.ts";
import { expiryOf, peerOfPem } from "../identity/peer.ts";
import {
  type ChangingIdentity,
  changingIdentity,
  type IdentitySource,
  type TlsIdentity,
} from "../identity/tls-identity.ts";
import type { Environment } from "./environment.ts";
import { isPassing } from "./session.ts";

export interface MembershipOptions {
  readonly environment: Pick<Environment, "instance" | "controlPlane" | "identity">;
  readonly clock: Clock;
  readonly log: Logger;
}

const CALL_TIMEOUT_MS = 5_000;
/** So often it is looked at the clock, which may have been set: a certificate can expire at once. */
const LOOK_MS = 5_000;
/** Share by which renewals come earlier, at random: instances that were started together renew one after the other. */
const JITTER = 0.1;

/**
 * An instance's membership of its pipeline: gives away the joining certificate that it was started with, keeps the next one for its next start,
 * and renews the working certificate for as long as it runs.
 */
export class Membership {
  readonly #options: MembershipOptions;
  readonly #files: JoiningFiles;
  readonly #name: InstanceName;
  readonly #identity: ChangingIdentity;
  #expires: number;
  /** By `clock.elapsed()`. */
  #renewAt: number;

  private constructor(options: MembershipOptions, files: JoiningFiles, first: Received) {
    this.#options = options;
    this.#files = files;
    this.#name = nameOf(options);
    this.#identity = changingIdentity(this.#name, first.identity);
    [this.#expires, this.#renewAt] = this.#due(first.working);
  }

  /**
   * Joins; tries until the control plane answers. Rejects when that refuses, when the files are not those of this instance or cannot be
   * replaced, and with kind `cancelled` when the signal fires.
   */
  static async join(options: MembershipOptions, signal: AbortSignal): Promise<Membership> {
    const files = options.environment.identity;
    if (files === undefined) throw new Error("there is nothing to join with");
    return new Membership(options, files, await receive(options, files, signal));
  }

  /** Who the instance is, from now on. */
  get identity(): IdentitySource {
    return this.#identity;
  }

  /** Renews it until the signal fires. Rejects only when the control plane refuses the instance. */
  async keep(registry: Pick<RegistryClient, "renew">, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    let attempt = 0;
    while (!signal.aborted) {
      const pause = attempt > 0 ? backoffDelay(attempt, { initialMs: 500, maxMs: 30_000 }) : this.#untilRenewal();
      await clock.sleep(Math.min(pause, LOOK_MS), signal).catch(() => undefined);
      if (signal.aborted) return;
      const isOver = clock.now() >= this.#expires;
      if (!isOver && attempt === 0 && this.#untilRenewal() > 0) continue;
      try {
        if (isOver) await this.#rejoin(signal);
        else await this.#renew(registry, signal);
        if (attempt > 0 || isOver) log.info(isOver ? "joined again" : "renewed the certificate");
        attempt = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (!isPassing(error)) throw error;
        attempt++;
        if (attempt === 1)
          log.warn("cannot renew the certificate yet; events continue to flow", { reason: String(error) });
      }
    }
  }

  #untilRenewal(): number {
    return Math.max(0, this.#renewAt - this.#options.clock.elapsed());
  }

  async #renew(registry: Pick<RegistryClient, "renew">, signal: AbortSignal): Promise<void> {
    const working = await registry.renew(withDeadline(signal, CALL_TIMEOUT_MS));
    this.#change(working, identityWith(this.#identity.current().ca, working.working));
  }

  /** The working certificate has expired, so that nobody accepts it: as at the start. */
  async #rejoin(signal: AbortSignal): Promise<void> {
    const { working, identity } = await receiveOnce(this.#options, this.#files, signal);
    this.#change(working, identity);
  }

  #change(working: Working, identity: TlsIdentity): void {
    [this.#expires, this.#renewAt] = this.#due(working);
    this.#identity.change(identity);
  }

  #due({ working, renewAfterMs }: Working): [expires: number, renewAt: number] {
    const pause = renewAfterMs * (1 - Math.random() * JITTER);
    return [expiryOf(working.certificate), this.#options.clock.elapsed() + pause];
  }
}

/** What a joining certificate brought. */
interface Received {
  readonly working: Working;
  readonly identity: TlsIdentity;
}

async function receive(options: MembershipOptions, files: JoiningFiles, signal: AbortSignal): Promise<Received> {
  const { clock, log } = options;
  for (let attempt = 1; ; attempt++) {
    try {
      return await receiveOnce(options, files, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (!isPassing(error)) throw error;
      if (attempt === 1 || attempt % 20 === 0)
        log.warn("cannot join the pipeline yet; retrying", { reason: String(error), attempt });
      await clock.sleep(backoffDelay(attempt, { initialMs: 50, maxMs: 1_000 }), signal);
    }
  }
}

async function receiveOnce(options: MembershipOptions, files: JoiningFiles, signal: AbortSignal): Promise<Received> {
  const joining = await readJoining(files);
  const name = nameOf(options);
  const source = changingIdentity(requireOwn(joining, name), joining);
  const { next, ...working } = await joinPipeline(
    options.environment.controlPlane,
    source,
    withDeadline(signal, CALL_TIMEOUT_MS),
  );
  // Before anything of the answer is used, which spends the one that is there.
  await replaceJoining(files, next);
  return { working, identity: identityWith(joining.ca, working.working) };
}

function identityWith(ca: Buffer, { certificate, key }: IssuedCertificate): TlsIdentity {
  return { ca, certificate: Buffer.from(certificate), key: Buffer.from(key) };
}

function nameOf({ environment: { instance } }: MembershipOptions): InstanceName {
  const { pipeline, componentId, instanceId } = instance;
  return { role: "component", pipeline, component: componentId, instance: instanceId };
}

/** The name in a joining certificate, which has to be the one of this instance. */
function requireOwn({ certificate }: TlsIdentity, own: InstanceName): InstanceName {
  const found = peerOfPem(certificate)?.name;
  const { pipeline, component, instance } = own;
  if (
    found?.role === "joining" &&
    found.pipeline === pipeline &&
    found.component === component &&
    found.instance === instance
  ) {
    return found;
  }
  const whose = found === undefined ? "nobody" : `${describeName(found)} in pipeline ${found.pipeline}`;
  throw new FlowctlError({
    code: "identity/not-own",
    kind: "invalid",
    message: `the joining certificate is that of ${whose}, and this is ${describeName(own)} in pipeline ${pipeline}`,
    fix: "Set FLOWCTL_TLS_CERT and FLOWCTL_TLS_KEY to the files that this instance was given.",
  });
}

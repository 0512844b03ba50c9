import type { RegistryClient, Working } from "../client/client.ts";
import { joinPipeline } from "../client/registry-client.ts";
import { backoffDelay } from "../foundation/backoff.ts";
import type { Clock } from "../foundation/clock.ts";
import { withDeadline } from "../foundation/deadline.ts";
import { FlowctlError, hasCode } from "../foundation/errors.ts";
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
  /** How a joining certificate is given away; left out: at the control plane. */
  readonly join?: typeof joinPipeline;
}

const CALL_TIMEOUT_MS = 5_000;
/** So often it is looked at the clock, which may have been set: a certificate can expire at once. */
const LOOK_MS = 5_000;
/** Pauses between attempts that fail: a control plane that comes back to a thousand instances is not asked by all of them at once. */
const RETRY = { initialMs: 500, maxMs: 30_000 };
/** Of what is left of a certificate by the clock when it is given, what may pass until it is renewed. */
const RENEWED_AFTER = 1 / 3;
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
  #due: Due;
  /** The certificate was given up for another one, which is not there yet: from the first attempt on it may be void. */
  #isRejoining = false;

  private constructor(options: MembershipOptions, files: JoiningFiles, first: Received) {
    this.#options = options;
    this.#files = files;
    this.#name = nameOf(options);
    this.#identity = changingIdentity(this.#name, first.identity);
    this.#due = this.#dueOf(first.working);
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

  /** Whether it waits for another certificate: a refusal of the one that it has says nothing of the instance. */
  get isChanging(): boolean {
    return this.#isRejoining || this.#isOver();
  }

  /**
   * Renews it until the signal fires, which has to be after the last call of the instance. Rejects only when the control plane refuses the
   * instance.
   */
  async keep(registry: Pick<RegistryClient, "renew">, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    let attempt = 0;
    let notBefore = 0;
    while (!signal.aborted) {
      const pause = Math.max(notBefore - clock.elapsed(), this.#isDue() ? 0 : this.#due.elapsed - clock.elapsed());
      await clock.sleep(Math.min(pause, LOOK_MS), signal).catch(() => undefined);
      if (signal.aborted) return;
      if (clock.elapsed() < notBefore || !this.#isDue()) continue;
      const rejoins = this.isChanging;
      try {
        if (rejoins) await this.#rejoin(signal);
        else await this.#renew(registry, signal);
        if (attempt > 0 || rejoins) log.info(rejoins ? "joined again" : "renewed the certificate");
        attempt = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (!rejoins && hasCode(error, "identity/expired")) this.#isRejoining = true;
        else if (!(rejoins ? isRetriedRejoin(error) : isRetriedRenewal(error))) throw error;
        attempt++;
        notBefore = clock.elapsed() + backoffDelay(attempt, RETRY);
        if (attempt === 1)
          log.warn("cannot renew the certificate yet; events continue to flow", { reason: String(error) });
      }
    }
  }

  #isOver(): boolean {
    return this.#options.clock.now() >= this.#due.expires;
  }

  #isDue(): boolean {
    const { clock } = this.#options;
    return this.isChanging || clock.elapsed() >= this.#due.elapsed || clock.now() >= this.#due.wall;
  }

  async #renew(registry: Pick<RegistryClient, "renew">, signal: AbortSignal): Promise<void> {
    const working = await registry.renew(withDeadline(signal, CALL_TIMEOUT_MS));
    this.#change(working, identityWith(this.#identity.current().ca, working.working));
  }

  /** The working certificate has expired, so that nobody accepts it: as at the start. */
  async #rejoin(signal: AbortSignal): Promise<void> {
    this.#isRejoining = true;
    const { working, identity } = await receiveOnce(this.#options, this.#files, signal);
    this.#change(working, identity);
    this.#isRejoining = false;
  }

  #change(working: Working, identity: TlsIdentity): void {
    this.#due = this.#dueOf(working);
    this.#identity.change(identity);
  }

  #dueOf({ working, renewAfterMs }: Working): Due {
    const { clock } = this.#options;
    const share = 1 - Math.random() * JITTER;
    const expires = expiryOf(working.certificate);
    const left = Math.max(0, expires - clock.now());
    return {
      expires,
      elapsed: clock.elapsed() + renewAfterMs * share,
      wall: clock.now() + left * RENEWED_AFTER * share,
    };
  }
}

/** When a certificate is no good any more, and when it is to be renewed: at what comes first. */
interface Due {
  /** By `clock.now()`. */
  readonly expires: number;
  /** By `clock.elapsed()`. */
  readonly elapsed: number;
  /** By `clock.now()`: a machine that slept, or whose clock was set, has less time left than has passed for its programs. */
  readonly wall: number;
}

/** Whom the pipeline does not want any more is ending, as a rule, and works on with what it has until then. */
function isRetriedRenewal(error: unknown): boolean {
  return isPassing(error) || hasCode(error, "identity/not-wanted");
}

/** Nothing of an answer was used that could not be put into the files: it is given again. */
function isRetriedRejoin(error: unknown): boolean {
  return isPassing(error) || hasCode(error, "identity/not-written") || hasCode(error, "identity/files");
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
  const { join = joinPipeline } = options;
  const { next, ...working } = await join(
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

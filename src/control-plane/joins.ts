import type { Clock } from "../foundation/clock.ts";
import { FlowctlError } from "../foundation/errors.ts";
import type { Authority, IssuedCertificate } from "../identity/authority.ts";
import { type JoinState, join, use } from "../identity/joins.ts";
import { describeName, type InstanceName } from "../identity/names.ts";
import type { Peer } from "../identity/peer.ts";
import { type Link, serialOf } from "../identity/serial.ts";
import type { TlsIdentity } from "../identity/tls-identity.ts";
import { type KeptJoin, keepJoin } from "./kept-state.ts";
import type { StateWriter } from "./state-writer.ts";

/** What makes certificates for the instances of a pipeline. */
export interface PipelineIdentity {
  readonly authority: Authority;
  /** The chain of joining certificates that the driver began last for an instance; undefined when it has started none. */
  started(component: string, instance: string): Promise<string | undefined>;
  /** What the owner's command line dials with; undefined where it is not there. */
  readOperator(): Promise<TlsIdentity | undefined>;
  /** Puts another one in its place. */
  renewOperator(): Promise<TlsIdentity>;
  /** How long a working certificate is good for; default a day. */
  readonly workingLifeMs?: number;
}

export interface Working {
  readonly working: IssuedCertificate;
  readonly renewAfterMs: number;
}

export interface Joined extends Working {
  readonly next: IssuedCertificate;
}

export interface JoinsOptions extends Omit<PipelineIdentity, "readOperator" | "renewOperator"> {
  readonly writer: StateWriter;
  readonly clock: Pick<Clock, "now">;
  readonly kept: readonly KeptJoin[];
  /** Whether the pipeline has that instance, be it only until it has left; true also before it is known what the pipeline has. */
  readonly isWanted: (component: string, instance: string) => boolean;
}

const DAY_MS = 24 * 60 * 60 * 1000;
/** It is renewed while there is twice as much time left, in which the control plane may be away. */
const RENEWED_AFTER = 1 / 3;

/** Who has joined the pipeline, and by which certificates: gives them out, and knows which are void. */
export class Joins {
  readonly #options: JoinsOptions;
  readonly #states = new Map<string, JoinState>();

  constructor(options: JoinsOptions) {
    this.#options = options;
    for (const { component, instance, ...state } of options.kept)
      this.#states.set(keyOf({ component, instance }), state);
  }

  /** The answer to a joining certificate. Rejects with `identity/used`, `identity/superseded` and `identity/not-wanted`. */
  async join(peer: Peer | undefined): Promise<Joined> {
    const { name, link } = requireInstance(peer);
    this.#requireWanted(name);
    const started = await this.#options.started(name.component, name.instance);
    const state = join(name, link, started, this.#states.get(keyOf(name)));
    this.#keep(name, state);
    // Whoever has the answer may use it at once: a control plane that is killed now must know that it was given.
    await this.#options.writer.durable();
    const { pipeline, component, instance } = name;
    const given: Link = { chain: state.chain, step: state.step };
    const [working, next] = await Promise.all([
      this.#issueWorking(name, given),
      this.#options.authority.issue({ role: "joining", pipeline, component, instance }, { serial: serialOf(given) }),
    ]);
    return { ...working, next };
  }

  /** The answer to a working certificate. Whether it is void, `require` has looked at. Rejects with `identity/not-wanted`. */
  async renew(peer: Peer | undefined): Promise<Working> {
    const { name, link } = requireInstance(peer);
    this.#requireWanted(name);
    return this.#issueWorking(name, link);
  }

  /**
   * Throws `identity/superseded` for a working certificate that is void; of others nothing is known. A promise, which rejects so, for an
   * instance that nothing is known of yet: then the driver's word is asked for.
   */
  require(peer: Peer): Promise<void> | undefined {
    if (peer.name.role !== "component") return undefined;
    const { name, link } = requireInstance(peer);
    const { component, instance } = name;
    if (!this.#states.has(keyOf(name)))
      return this.#options.started(component, instance).then((started) => this.#use(name, link, started));
    this.#use(name, link);
    return undefined;
  }

  #use(name: InstanceName, link: Link, started?: string): void {
    const before = this.#states.get(keyOf(name));
    const state = use(name, link, started, before);
    if (state !== before) this.#keep(name, state);
  }

  #requireWanted(name: InstanceName): void {
    const { component, instance } = name;
    if (this.#options.isWanted(component, instance)) return;
    throw new FlowctlError({
      code: "identity/not-wanted",
      kind: "denied",
      message: `the pipeline ${name.pipeline} does not have ${describeName(name)} (any more), and gives it no certificate`,
      fix: "If it was removed or scaled away, it must end. Otherwise add it to the pipeline file and run `flowctl up`.",
    });
  }

  async #issueWorking({ pipeline, component, instance }: InstanceName, link: Link): Promise<Working> {
    const { authority, clock, workingLifeMs = DAY_MS } = this.#options;
    // Certificates know whole seconds.
    const expires = new Date(Math.ceil((clock.now() + workingLifeMs) / 1000) * 1000);
    const name: InstanceName = { role: "component", pipeline, component, instance };
    const working = await authority.issue(name, { serial: serialOf(link), expires });
    return { working, renewAfterMs: Math.floor(workingLifeMs * RENEWED_AFTER) };
  }

  #keep(name: InstanceName, state: JoinState): void {
    const { component, instance } = name;
    this.#states.set(keyOf(name), state);
    keepJoin(this.#options.writer, { component, instance, ...state });
  }
}

function keyOf({ component, instance }: Pick<InstanceName, "component" | "instance">): string {
  return `${component}/${instance}`;
}

function requireInstance(peer: Peer | undefined): { readonly name: InstanceName; readonly link: Link } {
  const { name, link } = peer ?? {};
  if (name !== undefined && "instance" in name && link !== undefined) return { name, link };
  throw new FlowctlError({
    code: "identity/unauthenticated",
    kind: "unauthenticated",
    message: "the certificate is not one that an instance of the pipeline was given",
    fix: "Start the component with flowctl.",
  });
}

import { readFileSync, statSync } from "node:fs";
import { chmod, mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createSecureContext } from "node:tls";
import { type ChannelCredentials, credentials, type ServerCredentials, status } from "@grpc/grpc-js";
import { FlowctlError } from "../foundation/errors.ts";
import {
  type Authority,
  createAuthority,
  type IssuedCertificate,
  identityOf,
  openAuthority,
} from "../identity/authority.ts";
import { makeKey } from "../identity/certificate.ts";
import { type JoinState, join as joinAgain, use } from "../identity/joins.ts";
import { describeName, type InstanceName, type Name } from "../identity/names.ts";
import { isSame, type Peer, peerOf } from "../identity/peer.ts";
import { type Authenticated, peerOfCall } from "../identity/peer-of-call.ts";
import { joinPem, splitPem } from "../identity/pem.ts";
import { type Link, newChain, serialOf } from "../identity/serial.ts";
import { serverCredentials } from "../identity/tls-credentials.ts";
import { changingIdentity } from "../identity/tls-identity.ts";
import type { Refusal } from "./refusal.ts";
import type { ReportViolation } from "./violation.ts";

const DAY_MS = 86_400_000;

/** What a subscriber shows that is not its own. */
export type Disguise = "nothing" | "another authority" | Name;

/** What the component is given, as messages of the protocol. */
export interface WorkingMessage {
  readonly working: IssuedCertificate;
  readonly joining?: IssuedCertificate;
  readonly renewAfter: { readonly seconds: number; readonly nanos: number };
}

/** Where the component finds what it joins with. */
export interface IdentityFiles {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/**
 * Who is who in one run of a component: an authority, the certificates of everybody around the component, and what a control plane remembers
 * of its joins. It watches the standing obligations: to join first, and to have the next joining certificate in the files before the working
 * one is used.
 */
export class TestIdentity {
  /** How long working certificates are good for, in milliseconds. They are to be renewed after a third of that. */
  lifeMs = DAY_MS;
  /** So many of the next answers of Join are lost on their way. */
  loseAnswers = 0;
  /** How the next calls are refused, one each. */
  readonly joinRefusals: Refusal[] = [];
  readonly renewalRefusals: Refusal[] = [];
  /** Answers of Join that were given, lost ones included. */
  joined = 0;
  /** Calls of Renew, and those that were answered. */
  renewCalls = 0;
  renewed = 0;
  /** The serial number of the joining certificate that was shown last. */
  joinedWith: string | undefined;
  /** Of the working certificate that was given last. */
  newest: { readonly serial: string; readonly expires: number } | undefined;
  /** Serial number of the certificate by which the component called last, apart from Join and Renew. */
  calledWith: string | undefined;
  readonly #authority: Authority;
  readonly #foreign: Authority;
  readonly #subject: InstanceName;
  /** Of everybody around the component: who they are is what their certificates say. */
  readonly #key: Awaited<ReturnType<typeof makeKey>>;
  readonly #violation: ReportViolation;
  #chain: Link | undefined;
  #state: JoinState | undefined;
  #next: string | undefined;
  #files: IdentityFiles | undefined;

  private constructor(
    subject: InstanceName,
    authorities: readonly [Authority, Authority],
    key: Awaited<ReturnType<typeof makeKey>>,
    violation: ReportViolation,
  ) {
    this.#subject = subject;
    [this.#authority, this.#foreign] = authorities;
    this.#key = key;
    this.#violation = violation;
  }

  /** `subject` is the component under test. */
  static async create(subject: InstanceName, violation: ReportViolation): Promise<TestIdentity> {
    const make = async () => openAuthority(subject.pipeline, await createAuthority(subject.pipeline));
    const [own, foreign, key] = await Promise.all([make(), make(), makeKey()]);
    return new TestIdentity(subject, [own, foreign], key, violation);
  }

  /** Puts what the component joins with into files, in one file or in two, as a driver does at each start. */
  async begin(folder: string, { twoFiles = false } = {}): Promise<IdentityFiles> {
    await mkdir(folder, { recursive: true });
    // The component may run as somebody else, in a container.
    await chmod(folder, 0o777);
    const certificate = join(folder, twoFiles ? "certificate.pem" : "joining.pem");
    const files = { ca: join(folder, "ca.pem"), certificate, key: twoFiles ? join(folder, "key.pem") : certificate };
    this.#chain = newChain();
    const issued = await this.#authority.issue(
      { ...this.#subject, role: "joining" },
      { serial: serialOf(this.#chain) },
    );
    await place(files.ca, this.#authority.certificate);
    await place(files.certificate, twoFiles ? issued.certificate : joinPem(issued));
    if (twoFiles) await place(files.key, issued.key);
    this.#files = files;
    this.#next = undefined;
    return files;
  }

  /** The files of the last start, as the component has left them. */
  get files(): IdentityFiles | undefined {
    return this.#files;
  }

  /** Whatever the component has is void from now on: somebody else is the instance. */
  supersede(): void {
    this.#state = { chain: newChain().chain, step: 1, joinedWith: 0, isConfirmed: true };
  }

  /** How `name` serves. */
  serving(name: Name): ServerCredentials {
    return serverCredentials(changingIdentity(name, identityOf(this.#authority, this.certificateOf(name))));
  }

  certificateOf(name: Name, authority: "own" | "another" = "own"): IssuedCertificate {
    const { publicKey, privateKey } = this.#key;
    const by = authority === "own" ? this.#authority : this.#foreign;
    return { certificate: by.certify(name, publicKey), key: privateKey };
  }

  /** What everybody of the pipeline trusts, in PEM. */
  get ca(): string {
    return this.#authority.certificate;
  }

  /** How `name` dials the component. `served` is called with whom the component shows itself to be, and the serial number. */
  dialing(name: Name, disguise: Disguise | undefined, served: (serial: string) => void): ChannelCredentials {
    const shown = this.#shown(name, disguise);
    const context = createSecureContext({
      ca: this.ca,
      minVersion: "TLSv1.3",
      ...(shown === undefined ? {} : { cert: shown.certificate, key: shown.key }),
    });
    return credentials.createFromSecureContext(context, {
      checkServerIdentity: (_host, certificate) => {
        const peer = peerOf(certificate);
        if (peer === undefined || !isSame(peer.name, this.#subject)) {
          const who = peer === undefined ? "somebody without a name" : describePeer(peer.name);
          this.#violation("identity/serves", `its server showed the certificate of ${who}`);
        }
        served(certificate.serialNumber.toLowerCase());
        return undefined;
      },
    });
  }

  #shown(name: Name, disguise: Disguise | undefined): IssuedCertificate | undefined {
    if (disguise === "nothing") return undefined;
    if (disguise === "another authority") return this.certificateOf(name, "another");
    return this.certificateOf(disguise ?? name);
  }

  /** The answer to Join, or why there is none. */
  async join(call: Authenticated): Promise<WorkingMessage | Refusal> {
    const peer = peerOfCall(call);
    const refusal = this.joinRefusals.shift();
    if (refusal !== undefined) return refusal;
    if (peer?.link === undefined || peer.name.role !== "joining")
      return denied("identity/not-permitted", "Join is called with a joining certificate");
    try {
      this.#state = joinAgain(this.#subject, peer.link, this.#chain?.chain, this.#state);
    } catch (error) {
      return refusalOf(error);
    }
    this.joinedWith = serialOfCall(call);
    this.joined += 1;
    const link: Link = { chain: this.#state.chain, step: this.#state.step };
    const joining = await this.#authority.issue({ ...this.#subject, role: "joining" }, { serial: serialOf(link) });
    this.#next = joining.certificate;
    const answer = { ...(await this.#working(link)), joining };
    if (this.loseAnswers === 0) return answer;
    this.loseAnswers -= 1;
    return { status: status.UNAVAILABLE, code: "", message: "conformance: the answer was lost" };
  }

  /** The same for Renew. */
  async renew(call: Authenticated): Promise<WorkingMessage | Refusal> {
    this.renewCalls += 1;
    const refusal = this.admit(call, "Renew") ?? this.renewalRefusals.shift();
    if (refusal !== undefined) return refusal;
    const link = peerOfCall(call)?.link;
    if (link === undefined) return denied("identity/not-permitted", "Renew is called with a working certificate");
    const answer = await this.#working(link);
    this.renewed += 1;
    return answer;
  }

  /** Why a call of the component is not answered; undefined when it is. */
  admit(call: Authenticated, what: string): Refusal | undefined {
    const peer = peerOfCall(call);
    if (peer === undefined) return denied("identity/unauthenticated", "the certificate has no name");
    if (peer.name.role === "joining") {
      this.#violation("identity/joins-first", `it called ${what} with its joining certificate`);
      return denied("identity/not-permitted", `a joining certificate opens Join alone, not ${what}`);
    }
    // First: whoever has joined again since may have a call under way that was made before.
    if (Date.now() >= peer.expires) {
      const message = "the certificate that the connection was made with has expired";
      return { status: status.UNAUTHENTICATED, code: "identity/expired", message };
    }
    const refusal = this.#void(peer);
    // Of what is void the control plane alone knows.
    if (refusal !== undefined && what !== "Subscribe") return refusal;
    if (what !== "Renew" && what !== "Subscribe") this.calledWith = serialOfCall(call);
    return undefined;
  }

  #void({ link }: Peer): Refusal | undefined {
    if (link === undefined) return denied("identity/not-permitted", "this is no certificate of an instance");
    try {
      const before = this.#state;
      this.#state = use(this.#subject, link, this.#chain?.chain, before);
      if (this.#state !== before) this.#judgeFiles();
      return undefined;
    } catch (error) {
      return refusalOf(error);
    }
  }

  /** Looks, when the working certificate is used for the first time, whether the next joining one is in its place. */
  #judgeFiles(): void {
    const { certificate, key } = this.#files!;
    for (const path of new Set([key, certificate])) {
      const found = readIfAllowed(path);
      if (found === undefined) continue;
      const isBoth = splitPem(found.content).certificate === this.#next && splitPem(found.content).key !== "";
      const id = certificate === key ? "identity/keeps-next" : "identity/two-files";
      const which = path === certificate ? "FLOWCTL_TLS_CERT" : "FLOWCTL_TLS_KEY";
      if (!isBoth) {
        const what = "with the next joining certificate and its key";
        this.#violation(id, `it used its working certificate before the file of ${which} was replaced by one ${what}`);
      } else if ((found.mode & 0o077) !== 0) {
        const mode = (found.mode & 0o777).toString(8).padStart(4, "0");
        this.#violation(id, `the file of ${which} has mode ${mode}: others than its owner may use it`);
      }
    }
  }

  async #working(link: Link): Promise<WorkingMessage> {
    const serial = serialOf(link);
    // Certificates know whole seconds.
    const expires = new Date(Math.ceil((Date.now() + this.lifeMs) / 1000) * 1000);
    const working = await this.#authority.issue(this.#subject, { serial, expires });
    this.newest = { serial: serial.toLowerCase(), expires: expires.getTime() };
    const renewAfterMs = this.lifeMs / 3;
    const seconds = Math.floor(renewAfterMs / 1000);
    return { working, renewAfter: { seconds, nanos: Math.round((renewAfterMs - seconds * 1000) * 1e6) } };
  }
}

/** Whether it is one, and not an answer. */
export function isRefusal(answer: object): answer is Refusal {
  return "status" in answer;
}

/** The serial number that whoever calls has shown, as `serialOf` writes it. */
function serialOfCall(call: Authenticated): string | undefined {
  return call.getAuthContext().sslPeerCertificate?.serialNumber.toLowerCase();
}

function describePeer(name: Name): string {
  return `${describeName(name)}${name.role === "joining" ? ", which has not joined" : ""} of pipeline ${name.pipeline}`;
}

async function place(path: string, content: string): Promise<void> {
  await writeFile(`${path}.new`, content);
  await chmod(`${path}.new`, 0o666);
  await rename(`${path}.new`, path);
}

/** Undefined where somebody else's file cannot be read. */
function readIfAllowed(path: string): { readonly content: string; readonly mode: number } | undefined {
  try {
    return { content: readFileSync(path, "utf8"), mode: statSync(path).mode };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EACCES") return undefined;
    return { content: "", mode: 0 };
  }
}

function denied(code: string, message: string): Refusal {
  return { status: status.PERMISSION_DENIED, code, message };
}

function refusalOf(error: unknown): Refusal {
  if (!(error instanceof FlowctlError)) throw error;
  return { status: status.UNAUTHENTICATED, code: error.code, message: error.message };
}

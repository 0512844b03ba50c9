import { FlowctlError } from "../foundation/errors.ts";
import { type IssuedCertificate, isIssuedBy } from "../identity/authority.ts";
import { httpTokenOf } from "../identity/http-token.ts";
import { isSame, peerOfPem } from "../identity/peer.ts";
import { changingIdentity, type IdentitySource } from "../identity/tls-identity.ts";
import type { DriverName } from "../pipeline/pipeline.ts";
import type { AccessRole } from "../protocol/records.ts";

/** What somebody needs to whom access to a pipeline was granted. */
export interface GrantedAccess {
  readonly pipeline: string;
  /** What the pipeline runs on, for people. */
  readonly driver: DriverName;
  readonly name: string;
  readonly role: AccessRole;
  /** `host:port` of the control plane's gRPC. It may be changed by hand: whoever answers there has to prove that it is the control plane. */
  readonly grpc: string;
  /** Base URL of its HTTP. */
  readonly http: string;
  readonly identity: IdentitySource;
}

const DRIVERS: readonly DriverName[] = ["docker", "process", "kubernetes"];
/** A file may be a stranger's: what of it is shown, and where it leads, has these forms. */
const NAME = /^[\w.-]+$/;
const ADDRESS = /^(?:[\w.-]+|\[[\da-fA-F:.]+\]):\d{1,5}$/;
const HTTP = /^https?:\/\/(?:[\w.-]+|\[[\da-fA-F:.]+\])(?::\d{1,5})?$/;
/** Of the format; another one gets another number. */
const VERSION = 1;

/** The token that goes with a certificate, for `Authorization: Bearer`. */
export function httpToken(identity: IdentitySource): string {
  return httpTokenOf(identity.current());
}

/** The content of an access file, which is secret. `owner` is the identity of whoever grants it: both trust the same authority. */
export function formatAccess(
  access: Omit<GrantedAccess, "identity">,
  { certificate, key }: IssuedCertificate,
  owner: IdentitySource,
): string {
  const { pipeline, driver, name, role, grpc, http } = access;
  const token = httpTokenOf({ key: Buffer.from(key) });
  const ca = owner.current().ca.toString();
  const document = { flowctl_access: VERSION, pipeline, driver, name, role, grpc, http, token, ca, certificate, key };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

/** Reads the content of an access file. Throws `access/damaged-file`, without a word of what is in it. */
export function parseAccess(content: string, path: string): GrantedAccess {
  const fields = fieldsOf(content);
  const text = (name: string, form = /./): string => {
    const value = fields?.[name];
    if (typeof value !== "string" || !form.test(value)) throw damaged(path);
    return value;
  };
  if (fields?.flowctl_access !== VERSION) throw damaged(path);
  const [pipeline, name, role] = [text("pipeline"), text("name", NAME), text("role")];
  const driver = DRIVERS.find((one) => one === text("driver"));
  if (driver === undefined || (role !== "reader" && role !== "operator")) throw damaged(path);
  const issued = { certificate: text("certificate"), key: text("key") };
  const ca = text("ca");
  const meant = { role, pipeline } as const;
  if (!isIssuedBy({ certificate: ca }, issued)) throw damaged(path);
  const found = peerOfPem(issued.certificate)?.name;
  if (found === undefined || !isSame(found, meant)) throw damaged(path);
  const [caBytes, certificate, key] = [ca, issued.certificate, issued.key].map((part) => Buffer.from(part));
  const identity = changingIdentity(meant, { ca: caBytes!, certificate: certificate!, key: key! });
  return { pipeline, driver, name, role, grpc: text("grpc", ADDRESS), http: text("http", HTTP), identity };
}

function fieldsOf(content: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const document: unknown = JSON.parse(content);
    return typeof document === "object" && document !== null ? { ...document } : undefined;
  } catch {
    return undefined;
  }
}

function damaged(path: string): FlowctlError {
  return new FlowctlError({
    code: "access/damaged-file",
    kind: "invalid",
    message: `${path} is not an access file, or not whole`,
    fix: "Ask the owner of the pipeline for another one: `flowctl access grant NAME`",
  });
}

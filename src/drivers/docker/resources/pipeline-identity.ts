import { posix } from "node:path";
import { type Pack, pack } from "tar-stream";
import { hasCode } from "../../../foundation/errors.ts";
import {
  type Authority,
  authorityId,
  createAuthority,
  type IssuedCertificate,
  isIssuedBy,
  isSignedBy,
  openAuthority,
} from "../../../identity/authority.ts";
import type { GivenAuthority } from "../../../identity/given-authority.ts";
import { AUTHORITY_FILE, OPERATOR_FILE } from "../../../identity/identity-folder.ts";
import { joinPem, splitPem } from "../../../identity/pem.ts";
import { FLOWCTL_USER, IDENTITY_DIRECTORY } from "../container/container-spec.ts";
import { inspectContainer, listContainers, putArchive } from "../container/containers.ts";
import { controlPlaneName, controlPlaneVolume } from "../container/control-plane-container.ts";
import { readFileIn } from "../container/deliver-files.ts";
import type { Engine } from "../engine/engine.ts";
import { LABEL } from "./labels.ts";
import { inspectVolume } from "./volumes.ts";

/**
 * The authorities of pipelines. Each is in the volume of its pipeline's control plane, where every flowctl on the engine can read it. Which
 * one it is, is a part of whatever trusts it: where it was lost or damaged there is another one, and all of that is replaced.
 */
export class Authorities {
  readonly #made = new Map<string, Promise<IssuedCertificate>>();
  /** What is to sign the authority of a pipeline. */
  readonly #given = new Map<string, GivenAuthority>();
  readonly #found = new Map<string, string>();

  /**
   * The id of a pipeline's authority: of the one that there is, else of the one that its control plane is going to be given. Changes
   * nothing. `given` is to sign it: where it has not, there is going to be another one.
   */
  async find(
    engine: Engine,
    pipeline: string,
    given: GivenAuthority | undefined,
    signal: AbortSignal,
  ): Promise<string> {
    const controlPlane = controlPlaneName(pipeline);
    this.#give(pipeline, given);
    const whole = await wholeAuthority(engine, controlPlane, pipeline, signal);
    const kept = whole !== undefined && this.#isSigned(pipeline, whole) ? whole : undefined;
    if (whole !== undefined && kept === undefined) {
      const made = authorityId(await this.#make(pipeline));
      this.#found.set(pipeline, made);
      return made;
    }
    const found =
      kept === undefined
        ? ((await this.#trusted(engine, pipeline, signal)) ?? authorityId(await this.#make(pipeline)))
        : authorityId(kept);
    this.#found.set(pipeline, found);
    return found;
  }

  /**
   * Puts the authority that was found into the container of the control plane, which was created and not started, with who operates the
   * pipeline, unless the volume has it. Returns whether it is the one that was found: false where that was in the volume, and is not any more.
   */
  async deliver(engine: Engine, pipeline: string, container: string, signal: AbortSignal): Promise<boolean> {
    const kept = await wholeAuthority(engine, container, pipeline, signal);
    const found = this.#found.get(pipeline);
    const isKept = kept !== undefined && (found === undefined || authorityId(kept) === found);
    if (isKept && this.#isSigned(pipeline, kept)) return true;
    const made = await this.#make(pipeline);
    const isFound = found === undefined || authorityId(made) === found;
    // What others trust stays, whatever was expected, unless it was to be signed and is not.
    if (kept === undefined || isFound || !this.#isSigned(pipeline, kept))
      await putAuthority(engine, container, openAuthority(pipeline, made), made, signal);
    return isFound;
  }

  /** The one that what runs trusts, where the control plane is gone and its volume, which nobody can look into, is not. */
  async #trusted(engine: Engine, pipeline: string, signal: AbortSignal): Promise<string | undefined> {
    const [container, volume, containers] = await Promise.all([
      inspectContainer(engine, controlPlaneName(pipeline), signal),
      inspectVolume(engine, controlPlaneVolume(pipeline), signal),
      listContainers(engine, pipeline, signal),
    ]);
    if (container !== undefined || volume === undefined) return undefined;
    const ids = new Set(containers.flatMap(({ Labels }) => Labels[LABEL.authority] ?? []));
    return ids.size === 1 ? [...ids][0] : undefined;
  }

  /** Another one that is given makes what was made before of no use. */
  #give(pipeline: string, given: GivenAuthority | undefined): void {
    const before = this.#given.get(pipeline);
    if (given?.chain.join("") !== before?.chain.join("")) this.#made.delete(pipeline);
    if (given === undefined) this.#given.delete(pipeline);
    else this.#given.set(pipeline, given);
  }

  #isSigned(pipeline: string, authority: Authority): boolean {
    const given = this.#given.get(pipeline);
    return given === undefined || isSignedBy(authority, given);
  }

  #make(pipeline: string): Promise<IssuedCertificate> {
    const made = this.#made.get(pipeline) ?? createAuthority(pipeline, this.#given.get(pipeline));
    this.#made.set(pipeline, made);
    return made;
  }
}

async function putAuthority(
  engine: Engine,
  container: string,
  authority: Authority,
  kept: IssuedCertificate,
  signal: AbortSignal,
): Promise<void> {
  const operator = await authority.issue({ role: "operator", pipeline: authority.pipeline });
  const archive = pack();
  archive.entry({ name: `${posix.basename(IDENTITY_DIRECTORY)}/`, type: "directory", mode: 0o700, ...owner() });
  const put = (name: string, issued: IssuedCertificate): void =>
    putIdentityFile(archive, posix.join(posix.basename(IDENTITY_DIRECTORY), name), joinPem(issued));
  put(OPERATOR_FILE, operator);
  // Last: where it is, everything is.
  put(AUTHORITY_FILE, kept);
  archive.finalize();
  await putArchive(engine, container, posix.dirname(IDENTITY_DIRECTORY), archive, signal);
}

/**
 * What whoever may use the engine dials the control plane with. Where that is missing in the volume, or damaged, it is made anew there: the control
 * plane takes nobody for the owner whose certificate is not in it.
 */
export async function ownerOf(
  engine: Engine,
  container: string,
  authority: Authority,
  signal: AbortSignal,
): Promise<IssuedCertificate> {
  const kept = await identityFile(engine, container, OPERATOR_FILE, signal);
  if (kept !== undefined && isIssuedBy(authority, kept)) return kept;
  const made = await authority.issue({ role: "operator", pipeline: authority.pipeline });
  const archive = pack();
  putIdentityFile(archive, OPERATOR_FILE, joinPem(made));
  archive.finalize();
  await putArchive(engine, container, IDENTITY_DIRECTORY, archive, signal);
  return made;
}

/** The authority in the volume of a control plane; undefined where there is none of this pipeline, or not all of it. */
export async function wholeAuthority(
  engine: Engine,
  container: string,
  pipeline: string,
  signal: AbortSignal,
): Promise<Authority | undefined> {
  const kept = await identityFile(engine, container, AUTHORITY_FILE, signal);
  try {
    return kept && openAuthority(pipeline, kept);
  } catch (error) {
    if (hasCode(error, "identity/damaged")) return undefined;
    throw error;
  }
}

/** A certificate and its key, out of a file of the folder; undefined where that, or the container, is not there. */
export async function identityFile(
  engine: Engine,
  container: string,
  name: string,
  signal: AbortSignal,
): Promise<IssuedCertificate | undefined> {
  const content = await readFileIn(engine, container, `${IDENTITY_DIRECTORY}/${name}`, signal);
  return content === undefined ? undefined : splitPem(content.toString("utf8"));
}

/** Adds a file that the control plane alone can read. */
export function putIdentityFile(archive: Pack, name: string, content: string): void {
  archive.entry({ name, mode: 0o600, ...owner() }, content);
}

function owner(): { readonly uid: number; readonly gid: number } {
  const [uid = 0, gid = 0] = FLOWCTL_USER.split(":").map(Number);
  return { uid, gid };
}

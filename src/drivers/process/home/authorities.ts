import { authorityId, createAuthority, type IssuedCertificate, isSignedBy } from "../../../identity/authority.ts";
import type { GivenAuthority } from "../../../identity/given-authority.ts";
import { readAuthority } from "../../../identity/identity-folder.ts";
import type { PipelinePaths } from "./paths.ts";

/** The authorities of pipelines as far as commands make them: those that an authority of the user's own has signed. */
export class Authorities {
  readonly #made = new Map<string, IssuedCertificate>();

  /**
   * The id of a pipeline's authority, where somebody's own has signed it: of the one that there is, else of the one that its supervisor is
   * going to be given. Undefined for one that the supervisor makes by itself. Changes nothing.
   */
  async find({ identity, pipeline }: PipelinePaths, given: GivenAuthority | undefined): Promise<string | undefined> {
    this.#made.delete(pipeline);
    const kept = await readAuthority(identity, pipeline);
    if (given === undefined) return kept !== undefined && kept.chain.length > 0 ? authorityId(kept) : undefined;
    if (kept !== undefined && isSignedBy(kept, given)) return authorityId(kept);
    const made = await createAuthority(pipeline, given);
    this.#made.set(pipeline, made);
    return authorityId(made);
  }

  /** The one that the next supervisor of a pipeline is to have; undefined: the one that is there. */
  made(pipeline: string): IssuedCertificate | undefined {
    return this.#made.get(pipeline);
  }
}

import { type GivenAuthority, readGivenAuthority } from "../identity/given-authority.ts";
import { type Deployment, EXPIRES_SOON_MS, type PrepareOptions } from "./driver.ts";

/**
 * The authority that a deployment was given, checked; undefined where it was given none. Says when it is about to expire. Throws as
 * `readGivenAuthority` does.
 */
export function givenAuthority(
  { authority, pipeline }: Pick<Deployment, "authority" | "pipeline">,
  { progress }: Pick<PrepareOptions, "progress">,
): GivenAuthority | undefined {
  if (authority === undefined) return undefined;
  const given = readGivenAuthority(authority.content, authority.path, pipeline.name, Date.now());
  if (given.expires.getTime() - Date.now() < EXPIRES_SOON_MS) {
    const text = `${authority.path} expires at ${given.expires.toUTCString()}; have it made again before`;
    progress({ subject: "authority", status: "done", text });
  }
  return given;
}

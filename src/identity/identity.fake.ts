import { type Authority, createAuthority, identityOf, openAuthority } from "./authority.ts";
import type { Name } from "./names.ts";
import { newChain, serialOf } from "./serial.ts";
import { type ChangingIdentity, changingIdentity, type TlsIdentity } from "./tls-identity.ts";

/** An authority of its own for a test. */
export async function testAuthority(pipeline = "p"): Promise<Authority> {
  return openAuthority(pipeline, await createAuthority(pipeline));
}

/** The certificate of `name`, the first of a chain where it is one of an instance. */
export async function testIdentity(authority: Authority, name: Name, expires?: Date): Promise<TlsIdentity> {
  const step = name.role === "component" ? 1 : 0;
  const serial = "instance" in name ? { serial: serialOf({ ...newChain(), step }) } : {};
  return identityOf(
    authority,
    await authority.issue(name, { ...serial, ...(expires === undefined ? {} : { expires }) }),
  );
}

/** The same as a source. */
export async function testSource(authority: Authority, name: Name, expires?: Date): Promise<ChangingIdentity> {
  return changingIdentity(name, await testIdentity(authority, name, expires));
}

/** The name of instance 1 of a component. */
export function instanceName(component: string, role: "component" | "joining" = "component", pipeline = "p") {
  return { role, pipeline, component, instance: `${component}-1` } as const;
}

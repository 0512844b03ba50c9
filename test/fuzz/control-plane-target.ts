import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { ControlPlaneClient } from "../../src/client/client.ts";
import { connectControlPlane } from "../../src/client/control-plane-client.ts";
import { joinPipeline } from "../../src/client/registry-client.ts";
import { identityOf } from "../../src/identity/authority.ts";
import { type IdentityFolder, openIdentityFolder } from "../../src/identity/identity-folder.ts";
import { changingIdentity, type IdentitySource } from "../../src/identity/tls-identity.ts";
import { freePort } from "../free-port.ts";
import { Target } from "./target.ts";

const PATIENCE_MS = 15_000;
const program = resolve(import.meta.dirname, "../../dist/control-plane.js");

export interface ControlPlaneTarget {
  readonly target: Target;
  /** `host:port` each. */
  readonly grpc: string;
  readonly http: string;
  /** Undefined where everybody speaks in the clear. */
  readonly identity: IdentityFolder | undefined;
  /** Its store's. To be disposed of once the program has ended. */
  readonly folder: AsyncDisposable;
}

/** The control plane of dist/, on a LevelDB of its own. */
export async function startControlPlaneTarget(
  pipeline: string,
  { secure = false }: { readonly secure?: boolean } = {},
): Promise<ControlPlaneTarget> {
  const path = await mkdtemp(join(tmpdir(), "flowctl-fuzz-"));
  const identity = secure ? await openIdentityFolder(join(path, "identity"), pipeline) : undefined;
  const [grpc, http] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
  const target = new Target(program, {
    FLOWCTL_PIPELINE: pipeline,
    FLOWCTL_GRPC_LISTEN: grpc,
    FLOWCTL_HTTP_LISTEN: http,
    FLOWCTL_DATA_DIR: path,
    FLOWCTL_IDENTITY_DIR: identity === undefined ? "" : join(path, "identity"),
    FLOWCTL_LOG_LEVEL: "error",
  });
  const client = connectControlPlane(grpc, identity && operatorOf(identity));
  try {
    while (!(await answers(client))) {
      target.requireAlive();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  } catch (error) {
    await rm(path, { recursive: true, force: true });
    throw error;
  } finally {
    client.close();
  }
  return {
    target,
    grpc,
    http,
    identity,
    folder: { [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) },
  };
}

/** Whoever may change the pipeline. */
export function operatorOf({ authority, operator }: IdentityFolder): IdentitySource {
  return changingIdentity({ role: "operator", pipeline: authority.pipeline }, operator);
}

/** An instance that has joined, as the driver lets it. */
export async function joined(
  address: string,
  { authority, begin }: IdentityFolder,
  component: string,
  instance: string,
): Promise<IdentitySource> {
  const name = { role: "component", pipeline: authority.pipeline, component, instance } as const;
  const given = identityOf(authority, await begin(component, instance));
  const joining = changingIdentity({ ...name, role: "joining" }, given);
  const { working } = await joinPipeline(address, joining, AbortSignal.timeout(PATIENCE_MS));
  return changingIdentity(name, identityOf(authority, working));
}

function answers(client: ControlPlaneClient): Promise<boolean> {
  return client.getPipeline(AbortSignal.timeout(1_000)).then(
    () => true,
    () => false,
  );
}

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { connectControlPlane } from "../../../src/client/control-plane-client.ts";
import { type IdentityFolder, openIdentityFolder } from "../../../src/identity/identity-folder.ts";
import { joinPem } from "../../../src/identity/pem.ts";
import { changingIdentity, type TlsIdentity } from "../../../src/identity/tls-identity.ts";
import type { PipelineSpec } from "../../../src/protocol/records.ts";
import type { Crew } from "./crew.ts";
import { portOf, type Role } from "./parts/settings.ts";
import type { Address, Place } from "./place.ts";
import type { Plan } from "./plans.ts";
import { root } from "./programs.ts";

export const PIPELINE = "bench";

/** The control plane of one run: a program of its own with its LevelDB, as it is in life. */
export interface Plane {
  readonly pid: number | undefined;
  /** `host:port` at which programs of the run dial it. */
  readonly address: string;
  /** What tells a program of the plan who it is. */
  environment(id: string, instance: number, address: Address): Promise<Readonly<Record<string, string>>>;
}

export interface PlaneOptions {
  /** To bind instead of the one that the place gives. */
  readonly host?: string;
  /** The pipeline has an identity, which only the local place can do. */
  readonly identity?: boolean;
  /** Seconds that a working certificate is good for. Left out: a day. */
  readonly certificateSeconds?: number;
}

export async function startPlane(place: Place, crew: Crew, plan: Plan, options: PlaneOptions = {}): Promise<Plane> {
  const { host, certificateSeconds } = options;
  const folder = join(place.folderOf("control-plane"), "identity");
  const identity = options.identity === true ? await openIdentityFolder(folder, PIPELINE) : undefined;
  const address = await place.addressOf("control-plane");
  const http = await place.addressOf("control-plane", "http");
  const child = place.start("control-plane", [join(root, "dist/control-plane.js")], {
    FLOWCTL_PIPELINE: PIPELINE,
    FLOWCTL_GRPC_LISTEN: host === undefined ? address.bind : `${host}:${portOf(address.bind)}`,
    FLOWCTL_HTTP_LISTEN: http.bind,
    FLOWCTL_DATA_DIR: place.folderOf("control-plane"),
    FLOWCTL_PERSISTENCE: "leveldb",
    ...(identity === undefined ? {} : { FLOWCTL_IDENTITY_DIR: folder }),
    ...(certificateSeconds === undefined ? {} : { FLOWCTL_CERTIFICATE_SECONDS: String(certificateSeconds) }),
    FLOWCTL_LOG_LEVEL: "error",
  });
  crew.add("control-plane", child, () => undefined);
  const reachable = await crew.during(place.controlPlaneFromHere(address), "starting the control plane", 30_000);
  await crew.during(
    apply(reachable, plan, identity?.operator, () => crew.isDismissed),
    "declaring the pipeline",
    35_000,
  );
  return {
    pid: place.pidOf(child),
    address: address.dial,
    environment: async (id, instance, { bind, dial }) => {
      const { role, replicas = 1 } = plan.find((part) => part.id === id)!;
      return {
        FLOWCTL_CONTROL_PLANE: address.dial,
        FLOWCTL_PIPELINE: PIPELINE,
        FLOWCTL_COMPONENT_ID: id,
        FLOWCTL_COMPONENT_TYPE: typeOf(role),
        FLOWCTL_INSTANCE_ID: `${id}-${instance}`,
        FLOWCTL_INSTANCE_INDEX: String(instance),
        FLOWCTL_REPLICAS: String(replicas),
        FLOWCTL_LISTEN: bind,
        FLOWCTL_ADVERTISE: dial,
        FLOWCTL_HEALTH_PORT: "0",
        FLOWCTL_STATE_DIR: place.folderOf(`${id}-${instance}`),
        FLOWCTL_LOG_LEVEL: "warn",
        ...(identity === undefined ? {} : await joiningFiles(identity, folder, id, `${id}-${instance}`)),
      };
    },
  };
}

/** Puts there what an instance joins with. Its variables. */
async function joiningFiles(identity: IdentityFolder, folder: string, component: string, instance: string) {
  const [ca, joining] = [join(folder, "ca.pem"), join(folder, `joining-${instance}.pem`)];
  await writeFile(ca, identity.authority.certificate);
  await writeFile(joining, joinPem(await identity.begin(component, instance)));
  return { FLOWCTL_TLS_CA: ca, FLOWCTL_TLS_CERT: joining, FLOWCTL_TLS_KEY: joining };
}

/** Tries until the control plane is there, or nobody wants it any more. */
async function apply(
  address: string,
  plan: Plan,
  operator: TlsIdentity | undefined,
  isOver: () => boolean,
): Promise<void> {
  const identity = operator && changingIdentity({ role: "operator", pipeline: PIPELINE }, operator);
  const client = connectControlPlane(address, identity);
  const deadline = performance.now() + 30_000;
  try {
    for (;;) {
      try {
        return void (await client.applyPipeline(specOf(plan), AbortSignal.timeout(5_000)));
      } catch (error) {
        if (performance.now() > deadline || isOver()) throw error;
        await wait(50);
      }
    }
  } finally {
    client.close();
  }
}

function specOf(plan: Plan): PipelineSpec {
  return {
    name: PIPELINE,
    driver: "process",
    components: plan.map(({ id, role, from, types = [], replicas = 1, buffer }) => ({
      id,
      type: typeOf(role),
      replicas,
      inputs: from.map((upstream) => ({ from: upstream, types, ...(buffer && { buffer }) })),
      consumes: [],
      produces: [],
      partitionBy: "",
      maxRestarts: 5,
      onError: { action: "fail", to: "", retries: 0, backoffMs: 0 },
    })),
  };
}

function typeOf(role: Role): "source" | "processor" | "sink" {
  if (role === "source") return "source";
  return role === "sink" || role === "stalled" ? "sink" : "processor";
}

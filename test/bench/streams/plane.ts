import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { connectControlPlane } from "../../../src/client/control-plane-client.ts";
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
  environment(id: string, instance: number, address: Address): Readonly<Record<string, string>>;
}

/** @param host to bind instead of the one that the place gives. */
export async function startPlane(place: Place, crew: Crew, plan: Plan, host?: string): Promise<Plane> {
  const address = await place.addressOf("control-plane");
  const http = await place.addressOf("control-plane", "http");
  const child = place.start("control-plane", [join(root, "dist/control-plane.js")], {
    FLOWCTL_PIPELINE: PIPELINE,
    FLOWCTL_GRPC_LISTEN: host === undefined ? address.bind : `${host}:${portOf(address.bind)}`,
    FLOWCTL_HTTP_LISTEN: http.bind,
    FLOWCTL_DATA_DIR: place.folderOf("control-plane"),
    FLOWCTL_PERSISTENCE: "leveldb",
    FLOWCTL_SUPERVISE_BY: "none",
    FLOWCTL_LOG_LEVEL: "error",
  });
  crew.add("control-plane", child, () => undefined);
  const reachable = await crew.during(place.controlPlaneFromHere(address), "starting the control plane", 30_000);
  await crew.during(
    apply(reachable, plan, () => crew.isDismissed),
    "declaring the pipeline",
    35_000,
  );
  return {
    pid: place.pidOf(child),
    address: address.dial,
    environment: (id, instance, { bind, dial }) => {
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
      };
    },
  };
}

/** Tries until the control plane is there, or nobody wants it any more. */
async function apply(address: string, plan: Plan, isOver: () => boolean): Promise<void> {
  const client = connectControlPlane(address);
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

import type { GrantedAccess } from "../../client/access-file.ts";
import type { Driver, DriverCapabilities, ObservedResource, ObservedState } from "../../drivers/driver.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import {
  type ComponentRecord,
  type InstanceRecord,
  instanceIdsOf,
  type PipelineRecord,
} from "../../protocol/records.ts";
import type { CliDependencies } from "../dependencies.ts";

/**
 * What stands in the place of a driver for whoever has nothing but access to the control plane: what runs is what that says, logs are out of
 * reach, and nothing can be started or stopped.
 */
export function grantedDriver(deps: Pick<CliDependencies, "connect">, access: GrantedAccess): Driver {
  const { pipeline, driver: name, grpc, http, identity } = access;
  const refuse = async (): Promise<never> => {
    throw outOfReach("this", access);
  };
  return {
    name,
    capabilities: NONE,
    probe: async () => ({ available: true, detail: `the control plane at ${grpc}` }),
    prepare: refuse,
    apply: refuse,
    async observe(asked, signal) {
      if (asked !== pipeline) return [];
      const client = await deps.connect({ grpc, http, identity });
      try {
        return resourcesOf(await client.getPipeline(signal), access);
      } finally {
        client.close();
      }
    },
    // biome-ignore lint/correctness/useYield: it has none, and says so.
    async *logs() {
      throw outOfReach("`flowctl logs`", access);
    },
    // biome-ignore lint/correctness/useYield: the same.
    async *events() {
      throw outOfReach("this", access);
    },
    controlPlane: async (asked) => (asked === pipeline ? { grpc, http, identity } : undefined),
    pipelines: async () => [pipeline],
  };
}

/** The error of what an access file is not enough for, whatever its role. */
export function outOfReach(what: string, { pipeline, driver }: GrantedAccess): FlowctlError {
  return new FlowctlError({
    code: "cli/access-not-enough",
    kind: "denied",
    message: `An access file reaches the control plane of ${pipeline} alone, and ${what} needs the ${driver} driver`,
    fix: "Run it without --access and FLOWCTL_ACCESS, on the machine and as the user that the pipeline runs on",
  });
}

const NONE: DriverCapabilities = { images: false, limits: false, restartsExited: false };

function resourcesOf(record: PipelineRecord, access: GrantedAccess): readonly ObservedResource[] {
  const components = record.components.flatMap((component) => {
    const spec = record.spec?.components.find(({ id }) => id === component.id);
    const ids = new Set([
      ...(spec === undefined ? [] : instanceIdsOf(spec)),
      ...component.instances.map(({ id }) => id),
    ]);
    return [...ids].map((id) => instanceOf(component, id));
  });
  return [...components, controlPlaneOf(access)];
}

function instanceOf(component: ComponentRecord, id: string): ObservedResource {
  const known = component.instances.find((instance) => instance.id === id);
  return {
    ...UNKNOWN,
    key: `component/${id}`,
    kind: "component",
    owner: component.id,
    index: Number(id.slice(component.id.length + 1)) || 0,
    state: stateOf(known),
    ref: id,
    name: id,
    ports: [],
  };
}

function controlPlaneOf({ grpc, http }: GrantedAccess): ObservedResource {
  return {
    ...UNKNOWN,
    ...{ key: "control-plane/1", kind: "control-plane", owner: "control-plane", index: 1 },
    ...{ ref: "control-plane", name: "control-plane" },
    state: { status: "running", startedAt: 0, health: "healthy", restarts: 0 },
    ports: [`${grpc}->grpc`, `${http.replace(/^https?:\/\//, "")}->http`],
  };
}

const UNKNOWN = { hash: "", parts: {} } as const;

/** As far as the control plane knows. What it has not heard of yet is starting. */
function stateOf(instance: InstanceRecord | undefined): ObservedState {
  const { state = "starting", registeredAt = 0, restarts = 0, desiredStopped = false } = instance ?? {};
  if (state === "completed" || state === "failed" || desiredStopped)
    return { status: "exited", exitCode: -1, oomKilled: false, finishedAt: 0, restarts };
  return { status: "running", startedAt: registeredAt, health: "none", restarts };
}

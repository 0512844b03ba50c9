import { createHmac, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { cancelled } from "../foundation/clock.ts";
import { FlowctlError } from "../foundation/errors.ts";
import type { IdentitySource } from "../identity/tls-identity.ts";
import type { Component, DriverName } from "../pipeline/pipeline.ts";
import { projectFolder } from "../pipeline/project-folder.ts";
import { createBroadcast } from "./broadcast.ts";
import type {
  ApplyContext,
  Change,
  ControlPlaneEndpoint,
  Deployment,
  DesiredResource,
  Driver,
  DriverCapabilities,
  DriverEvent,
  DriverProbe,
  EngineService,
  LogLine,
  LogOptions,
  ObservedResource,
  ObservedState,
  PrepareOptions,
  Prerequisite,
  ResourceKey,
  ResourceKind,
  UsedHere,
} from "./driver.ts";
import { fingerprint } from "./fingerprint.ts";
import { hasSecretValues, secretsRemoved } from "./grants.ts";
import { CONTROL_PLANE, instanceId } from "./identity.ts";
import { isSelected, isWithin } from "./log-selection.ts";
import { otherFolder } from "./other-folder.ts";

export interface MemoryDriverOptions {
  readonly name?: DriverName;
  readonly engine?: EngineService;
  readonly probe?: DriverProbe;
  /** What a component or service becomes when it is started; running and healthy unless said otherwise. */
  readonly startedState?: (resource: Pick<ObservedResource, "key" | "owner" | "kind">) => ObservedState;
  /** Called before each change is carried out; throw to fail it, wait to hold it. */
  readonly onApply?: (change: Change, context: ApplyContext) => Promise<void> | void;
  readonly logs?: readonly LogLine[];
  /** Folder of this machine whose disk it says that it uses; default: none. */
  readonly folder?: string;
}

/**
 * A driver that keeps everything in memory, for tests of what drives drivers. Passes the same suite as the real ones, as far
 * as that is not about programs: it starts none, so nothing of it writes a log, exits or crashes by itself, or is started
 * again by itself; a test that needs one of that says so by the options, or reaches into `state`.
 */
export class MemoryDriver implements Driver {
  readonly name: DriverName;
  readonly capabilities: DriverCapabilities;
  /** Pipeline → what exists of it, by key. Tests may reach in and break things. */
  readonly state = new Map<string, Map<ResourceKey, ObservedResource>>();
  /** `action key` in the order in which the changes were carried out. */
  readonly applied: string[] = [];
  readonly #options: MemoryDriverOptions;
  readonly #secretKey = randomBytes(16);
  #serial = 0;
  readonly #events = createBroadcast<DriverEvent>();

  constructor(options: MemoryDriverOptions = {}) {
    this.#options = options;
    this.name = options.name ?? "process";
    this.capabilities = {
      images: true,
      limits: true,
      restartsExited: true,
      ...(options.engine === undefined ? {} : { engine: options.engine }),
    };
  }

  async probe(): Promise<DriverProbe> {
    return this.#options.probe ?? { available: true, detail: "in memory" };
  }

  async prepare(deployment: Deployment, options: PrepareOptions): Promise<readonly DesiredResource[]> {
    if (options.signal.aborted) throw cancelled(options.signal);
    return this.#desiredOf(deployment);
  }

  async here(): Promise<UsedHere | undefined> {
    const { folder } = this.#options;
    return folder === undefined ? undefined : { folder, own: false, publishes: false };
  }

  async observe(pipeline: string): Promise<readonly ObservedResource[]> {
    return [...(this.state.get(pipeline)?.values() ?? [])];
  }

  async apply(change: Change, context: ApplyContext): Promise<void> {
    await this.#options.onApply?.(change, context);
    if (context.signal.aborted) throw cancelled(context.signal);
    if ("resource" in change) this.#refuseOtherFolder(context);
    const world = this.state.get(context.pipeline) ?? new Map<ResourceKey, ObservedResource>();
    this.state.set(context.pipeline, world);
    const resource = change.action === "create" || change.action === "replace" ? change.resource : change.observed;
    this.applied.push(`${change.action} ${resource.key}`);
    const before = world.get(resource.key);
    if (change.action === "create" || change.action === "replace") {
      // What is there as wanted, and is not the very one that is to be replaced, is left alone.
      const replaced = change.action === "replace" ? change.observed.ref : undefined;
      const same = before?.hash === change.resource.hash && before.ref !== replaced;
      if (same && before.state.status === "running") return;
      this.#end(before);
      const made = this.#made(change.resource, context);
      world.set(resource.key, made);
      this.#emit({ type: "started", key: made.key, time: Date.now() });
      return;
    }
    if (change.action === "remove") {
      this.#end(before);
      world.delete(resource.key);
      if (world.size === 0) this.state.delete(context.pipeline);
      if (before !== undefined) this.#emit({ type: "removed", key: before.key, time: Date.now() });
      return;
    }
    if (before === undefined) throw noSuchResource(resource.key);
    const ended = change.action !== "start" && this.#end(before);
    if (change.action === "stop") {
      const secrets = before.parts.secrets === undefined || change.keepSecrets ? {} : ({ secrets: "removed" } as const);
      world.set(resource.key, { ...before, ...secrets, ...(ended ? { state: STOPPED } : {}) });
      return;
    }
    if (change.action === "start" && before.state.status === "running") return;
    const { secrets, ...rest } = before;
    if (secrets === "removed" && !this.#hasValues(before, context)) throw secretsRemoved(before.name, context.pipeline);
    world.set(resource.key, { ...rest, state: this.#started(before) });
    this.#emit({ type: "started", key: before.key, time: Date.now() });
  }

  async *logs(_pipeline: string, options: LogOptions, signal: AbortSignal): AsyncIterable<LogLine> {
    for (const line of this.#options.logs ?? []) {
      if (isSelected(line, options) && isWithin(line, options)) yield line;
    }
    if (options.follow && !signal.aborted) {
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    }
  }

  events(_pipeline: string, signal: AbortSignal): AsyncIterable<DriverEvent> {
    return this.#events.listen(signal);
  }

  /** What commands prove themselves with; left out: everybody speaks in the clear. */
  identity: IdentitySource | undefined;

  async controlPlane(pipeline: string): Promise<ControlPlaneEndpoint | undefined> {
    return this.state.get(pipeline)?.get(CONTROL_PLANE.key)?.state.status === "running"
      ? {
          ...{ grpc: "127.0.0.1:8080", http: "http://127.0.0.1:8081" },
          ...(this.identity === undefined ? {} : { identity: this.identity }),
        }
      : undefined;
  }

  async pipelines(): Promise<readonly string[]> {
    return [...this.state.keys()];
  }

  #refuseOtherFolder({ pipeline, deployment }: ApplyContext): void {
    if (deployment === undefined) return;
    const folder = projectFolder(deployment.pipeline);
    const owner = [...(this.state.get(pipeline)?.values() ?? [])].find((resource) => resource.folder !== undefined);
    if (owner?.folder === undefined || owner.folder === folder) return;
    // State that is all that is left of a folder which is gone changes hands.
    const isUp = this.state.get(pipeline)?.has(CONTROL_PLANE.key) ?? false;
    if (isUp || existsSync(owner.folder)) throw otherFolder(pipeline, owner.folder, folder);
    for (const [key, kept] of this.state.get(pipeline) ?? []) this.state.get(pipeline)?.set(key, { ...kept, folder });
  }

  /** Ends what runs, and tells of it. Returns whether it did run. */
  #end(resource: ObservedResource | undefined): boolean {
    const runs = resource?.state.status === "running" || resource?.state.status === "restarting";
    if (resource === undefined || !runs) return false;
    const { key } = resource;
    this.#emit({ type: "exited", key, time: Date.now(), exitCode: 0, oomKilled: false, willRestart: false });
    return true;
  }

  #emit(event: DriverEvent): void {
    if (!/^(component|service)\//.test(event.key)) return;
    this.#events.emit(event);
  }

  #made(resource: DesiredResource, { pipeline, deployment }: ApplyContext): ObservedResource {
    const { key, kind, owner, index, hash, parts } = resource;
    const name = `${pipeline}-${owner}-${index}`;
    return {
      key,
      kind,
      owner,
      index,
      hash,
      parts,
      name,
      ref: String(++this.#serial),
      ports: kind === "control-plane" ? ["127.0.0.1:8081->http"] : [],
      state: this.#started(resource),
      ...(deployment === undefined ? {} : { folder: projectFolder(deployment.pipeline) }),
    };
  }

  #hasValues({ owner }: ObservedResource, { deployment }: ApplyContext): boolean {
    const component = deployment?.pipeline.components.find(({ id }) => id === owner);
    return component !== undefined && hasSecretValues(component, deployment);
  }

  #started(resource: Pick<ObservedResource, "key" | "owner" | "kind">): ObservedState {
    return (
      this.#options.startedState?.(resource) ?? { status: "running", startedAt: 0, health: "healthy", restarts: 0 }
    );
  }

  /** The resources of a pipeline, hashed by what the file says of them and by the values that they are granted. */
  #desiredOf({ pipeline, secretValues, options }: Deployment): readonly DesiredResource[] {
    const network = resource("network", "default", 0, {}, []);
    const volumes = [
      resource("volume", "state", 0, {}, []),
      ...Object.entries(pipeline.volumes).map(([key, volume]) => resource("volume", key, 0, { volume }, [])),
    ];
    const controlPlane = resource("control-plane", "control-plane", 1, { persistence: options.persistence }, [
      { key: network.key, condition: "exists" },
    ]);
    const services = pipeline.services.map((service) =>
      resource("service", service.id, 1, { image: service.image }, [{ key: controlPlane.key, condition: "healthy" }]),
    );
    const components = pipeline.components.flatMap((component) =>
      Array.from({ length: component.replicas }, (_, i) =>
        resource(
          "component",
          component.id,
          i + 1,
          { ...this.#partsOf(component, secretValues), log_level: options.logLevel },
          [
            { key: network.key, condition: "exists" },
            { key: controlPlane.key, condition: "healthy" },
            ...services.map(({ key }) => ({ key, condition: "started" }) as const),
          ],
        ),
      ),
    );
    return [network, ...volumes, controlPlane, ...services, ...components];
  }

  #partsOf(component: Component, values: Deployment["secretValues"]): Record<string, unknown> {
    const { type, uses, image, command, environment } = component;
    const secrets = component.secrets.map(({ source, target }) => {
      const digest = createHmac("sha256", this.#secretKey).update(values.get(source) ?? "");
      return [source, target, digest.digest("hex")];
    });
    const granted = secrets.length === 0 ? {} : { secrets };
    return { type, uses, image, command, environment, with: component.with, ...granted };
  }
}

const STOPPED: ObservedState = { status: "exited", exitCode: 0, oomKilled: false, finishedAt: 0, restarts: 0 };

function noSuchResource(key: ResourceKey): FlowctlError {
  return new FlowctlError({ code: "driver/no-such-resource", kind: "not-found", message: `There is no ${key}` });
}

function resource(
  kind: ResourceKind,
  owner: string,
  index: number,
  parts: Record<string, unknown>,
  after: readonly Prerequisite[],
): DesiredResource {
  const suffix =
    kind === "network" || kind === "volume" ? owner : kind === "control-plane" ? "1" : instanceId(owner, index);
  return { key: `${kind}/${suffix}`, kind, owner, index, after, spec: {}, ...fingerprint(parts) };
}

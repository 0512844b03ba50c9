import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ControlPlaneClient } from "../../src/client/client.ts";
import { connectControlPlane } from "../../src/client/control-plane-client.ts";
import { type ControlPlane, startControlPlane } from "../../src/control-plane/control-plane.ts";
import type { PipelineIdentity } from "../../src/control-plane/joins.ts";
import { openLevelStore } from "../../src/control-plane/store/level-store.ts";
import { type Clock, systemClock } from "../../src/foundation/clock.ts";
import { type Logger, silentLogger } from "../../src/foundation/logger.ts";
import { type Authority, identityOf } from "../../src/identity/authority.ts";
import { type IdentityFolder, openIdentityFolder } from "../../src/identity/identity-folder.ts";
import type { JoiningFiles } from "../../src/identity/joining-files.ts";
import type { Name } from "../../src/identity/names.ts";
import { joinPem } from "../../src/identity/pem.ts";
import { changingIdentity, type IdentitySource } from "../../src/identity/tls-identity.ts";
import type { AccessRole, ComponentSpec } from "../../src/protocol/records.ts";
import type { ComponentDefinition } from "../../src/sdk/component.ts";
import { runComponent } from "../../src/sdk/run-component.ts";
import { freePort } from "../free-port.ts";

export const soon = (): AbortSignal => AbortSignal.timeout(30_000);
export const operatorName: Name = { role: "operator", pipeline: "p" };

export interface Started {
  readonly outcome: Promise<"completed" | "stopped">;
  readonly files: JoiningFiles;
  /** The port of its EventStream. */
  readonly port: number;
  readonly healthPort: number;
  stop(): void;
}

export interface StartOptions {
  /** What it joins with; left out: what the driver gives it. */
  readonly files?: JoiningFiles;
  readonly log?: Logger;
  /** Where it finds the control plane; left out: where that is. */
  readonly controlPlane?: string;
}

/** A pipeline `p` with an identity: its control plane, on a store that outlives it, and components, all in this process. */
export class IdentityWorld {
  readonly folder: string;
  readonly identity: IdentityFolder;
  readonly #workingLifeMs: number | undefined;
  readonly #clock: Clock;
  #controlPlane: ControlPlane | undefined;
  #address = "127.0.0.1:0";
  #issued = 0;
  #lastExpiry = 0;
  readonly #stops: AbortController[] = [];
  readonly #runs: Promise<unknown>[] = [];
  readonly #clients: { close(): void }[] = [];

  private constructor(folder: string, identity: IdentityFolder, workingLifeMs: number | undefined, clock: Clock) {
    this.folder = folder;
    this.identity = identity;
    this.#workingLifeMs = workingLifeMs;
    this.#clock = clock;
  }

  /** @param clock Of the control plane and of all components. */
  static async create(workingLifeMs?: number, clock: Clock = systemClock): Promise<IdentityWorld> {
    const folder = await mkdtemp(join(tmpdir(), "flowctl-identity-world-"));
    const identity = await openIdentityFolder(join(folder, "identity"), "p");
    const world = new IdentityWorld(folder, identity, workingLifeMs, clock);
    try {
      await writeFile(join(folder, "ca.pem"), identity.authority.certificate);
      await world.startControlPlane();
    } catch (error) {
      await world.dispose();
      throw error;
    }
    return world;
  }

  get address(): string {
    return this.#address;
  }

  /** How many certificates the control plane has made. */
  get issued(): number {
    return this.#issued;
  }

  /** When the last certificate that it has made expires, in milliseconds since 1970. */
  get lastExpiry(): number {
    return this.#lastExpiry;
  }

  /** Where it was before, if it was. */
  async startControlPlane(): Promise<void> {
    const authority: Authority = {
      ...this.identity.authority,
      issue: (name, options = {}) => {
        this.#issued++;
        this.#lastExpiry = Math.max(this.#lastExpiry, options.expires?.getTime() ?? 0);
        return this.identity.authority.issue(name, options);
      },
    };
    const started: PipelineIdentity["started"] = (...args) => this.identity.started(...args);
    const workingLifeMs = this.#workingLifeMs;
    this.#controlPlane = await startControlPlane({
      pipeline: "p",
      grpcListen: this.#address,
      httpListen: "127.0.0.1:0",
      store: await openLevelStore(join(this.folder, "store")),
      clock: this.#clock,
      log: silentLogger,
      identity: { ...this.identity, authority, started, ...(workingLifeMs === undefined ? {} : { workingLifeMs }) },
    });
    this.#address = this.#controlPlane.grpcAddress;
  }

  /** `host:port` of the control plane's HTTP. */
  get http(): string {
    return this.#controlPlane?.httpAddress ?? "";
  }

  async stopControlPlane(): Promise<void> {
    await this.#controlPlane?.close();
    this.#controlPlane = undefined;
  }

  /** What a control plane that keeps nothing on the disk does when it is stopped. */
  async forgetEverything(): Promise<void> {
    await rm(join(this.folder, "store"), { recursive: true });
  }

  get operator(): ControlPlaneClient {
    return this.connect(changingIdentity(operatorName, this.identity.operator));
  }

  connect(identity?: IdentitySource): ControlPlaneClient {
    const client = connectControlPlane(this.#address, identity);
    this.#clients.push(client);
    return client;
  }

  /** Somebody to whom the owner grants access, under the name of the role unless there is another. */
  async granted(role: AccessRole, name: string = role): Promise<IdentitySource> {
    const issued = await this.operator.grantAccess(name, role, soon());
    return changingIdentity({ role, pipeline: "p" }, identityOf(this.identity.authority, issued));
  }

  async apply(...components: ComponentSpec[]): Promise<void> {
    await this.operator.applyPipeline({ name: "p", driver: "process", components }, soon());
  }

  /** What the driver does when it starts an instance: the files that it gives to it. */
  async begin(component: string, index = 1): Promise<JoiningFiles> {
    const instance = `${component}-${index}`;
    const path = join(this.folder, `${instance}.pem`);
    await writeFile(path, joinPem(await this.identity.begin(component, instance)));
    return { ca: join(this.folder, "ca.pem"), certificate: path, key: path };
  }

  async start(id: string, component: ComponentDefinition, options: StartOptions = {}): Promise<Started> {
    const stop = new AbortController();
    this.#stops.push(stop);
    const files = options.files ?? (await this.begin(id));
    const port = await freePort();
    const healthPort = await freePort();
    const outcome = runComponent(component, {
      environment: {
        instance: { pipeline: "p", componentId: id, instanceId: `${id}-1`, index: 1, replicas: 1 },
        type: component.type,
        controlPlane: options.controlPlane ?? this.#address,
        listen: `127.0.0.1:${port}`,
        advertise: `127.0.0.1:${port}`,
        healthHost: "127.0.0.1",
        healthPort,
        config: {},
        stateDirectory: join(this.folder, `${id}-1-state`),
        secretsDirectory: this.folder,
        identity: files,
        logLevel: "info",
        stopGraceMs: 10_000,
      },
      config: {},
      clock: this.#clock,
      log: options.log ?? silentLogger,
      stop: stop.signal,
      secret: async () => "",
    });
    this.#runs.push(outcome);
    outcome.catch(() => undefined);
    return { outcome, files, port, healthPort, stop: () => stop.abort() };
  }

  async dispose(): Promise<void> {
    for (const stop of this.#stops) stop.abort();
    await Promise.allSettled(this.#runs);
    for (const client of this.#clients) client.close();
    await this.stopControlPlane();
    await rm(this.folder, { recursive: true, force: true });
  }
}

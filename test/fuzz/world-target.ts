import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { connectControlPlane } from "../../src/client/control-plane-client.ts";
import { type IdentityFolder, openIdentityFolder } from "../../src/identity/identity-folder.ts";
import type { IdentitySource } from "../../src/identity/tls-identity.ts";
import { bundledProgram } from "../bundled-program.ts";
import { joined, operatorOf } from "./control-plane-target.ts";
import type { WorldState } from "./programs/world.ts";
import { Target } from "./target.ts";

const program = fileURLToPath(new URL("programs/world.ts", import.meta.url));
/** Folder of what is kept of the pipeline's identity. */
const IDENTITY = "identity";
/** How long the honest components may take for what is asked of them, in milliseconds. */
const PATIENCE_MS = 20_000;

/** A running pipeline, whose source is attacked. */
export class World implements AsyncDisposable {
  readonly target: Target;
  readonly #folder: string;
  readonly #identity: IdentityFolder | undefined;
  #address = "";
  #health = "";
  #grpc = "";
  #committed = 0;

  private constructor(folder: string, identity: IdentityFolder | undefined) {
    this.#folder = folder;
    this.#identity = identity;
    const where = identity === undefined ? "" : join(folder, IDENTITY);
    this.target = new Target(bundledProgram(program), { TMPDIR: folder, FLOWCTL_IDENTITY_DIR: where });
  }

  /** @param options `secure`: everybody has certificates, and shows them. */
  static async start({ secure = false }: { readonly secure?: boolean } = {}): Promise<World> {
    const folder = await mkdtemp(`${tmpdir()}/flowctl-fuzz-`);
    const identity = secure ? await openIdentityFolder(join(folder, IDENTITY), "p") : undefined;
    const world = new World(folder, identity);
    try {
      await world.#find();
    } catch (error) {
      await world[Symbol.asyncDispose]();
      throw error;
    }
    return world;
  }

  /** `host:port` of the source's EventStream, of its health server, and of the control plane's gRPC. */
  get address(): string {
    return this.#address;
  }

  get health(): string {
    return this.#health;
  }

  get grpc(): string {
    return this.#grpc;
  }

  /** An instance that has joined, as the driver lets it; undefined where everybody speaks in the clear. */
  async join(component: string, instance: string): Promise<IdentitySource | undefined> {
    return this.#identity && (await joined(this.#grpc, this.#identity, component, instance));
  }

  /** Waits until every honest sink has what was emitted until now, and the source has been told so. */
  async check(): Promise<void> {
    const { emitted, committed } = await this.target.ask<WorldState>("state");
    if (committed < this.#committed) throw new Error(`the position went back from ${this.#committed} to ${committed}`);
    this.#committed = committed;
    await this.#until(
      ({ committed: reached, sinks }) =>
        reached >= emitted && Object.values(sinks).every(({ allUpTo }) => allUpTo >= emitted),
      `all ${emitted} events to be acknowledged`,
    );
  }

  /** Lets the source end, and waits until the sinks that have no other have completed with all of it. */
  async finish(): Promise<void> {
    await this.target.ask("end");
    const done = ["feed", "archive", "lied-to"];
    await this.#until(({ ended }) => done.every((id) => ended[id] === "completed"), "the pipeline to complete");
    const { emitted, committed, sinks } = await this.target.ask<WorldState>("state");
    const wrong = Object.entries(sinks).filter(([, { count, allUpTo }]) => count !== emitted || allUpTo !== emitted);
    if (wrong.length > 0 || committed !== emitted)
      throw new Error(`of ${emitted} events ${committed} are committed, and sinks have ${JSON.stringify(sinks)}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.target[Symbol.asyncDispose]();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #find(): Promise<void> {
    await this.target.ready();
    this.#grpc = (await this.#until(() => true, "the control plane")).grpc;
    const client = connectControlPlane(this.#grpc, this.#identity && operatorOf(this.#identity));
    try {
      await this.#until(({ committed }) => committed > 0, "the first events");
      const { instances } = await client.getComponentStatus("feed", AbortSignal.timeout(PATIENCE_MS));
      this.#address = instances[0]?.address ?? "";
      this.#health = instances[0]?.healthEndpoint ?? "";
    } finally {
      client.close();
    }
  }

  async #until(condition: (state: WorldState) => boolean, what: string): Promise<WorldState> {
    for (const end = Date.now() + PATIENCE_MS; ; ) {
      const state = await this.target.ask<WorldState>("state");
      const failed = Object.entries(state.ended).find(([, how]) => how !== "completed");
      if (failed !== undefined) throw new Error(`an honest component has ended: ${failed.join(" ")}`);
      if (condition(state)) return state;
      if (Date.now() > end) throw new Error(`waited in vain for ${what}: ${JSON.stringify(state)}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { eventually } from "../../e2e/checks.ts";
import { keepingDefaultBridge } from "./default-bridge.ts";

const run = promisify(execFile);

/** A Docker engine that nobody else uses, so that it can be killed: its own data, socket and bridge. */
export class OwnEngine implements AsyncDisposable {
  readonly host: string;
  readonly #folder: string;
  readonly #bridge: string;
  readonly #subnet: number;
  #daemon: ChildProcess | undefined;

  private constructor(folder: string, bridge: string, subnet: number) {
    this.#folder = folder;
    this.#bridge = bridge;
    this.#subnet = subnet;
    this.host = `unix://${join(folder, "docker.sock")}`;
  }

  /** Starts one. `subnet` is the second number of its addresses, 10.N.0.0/16, so that engines of one machine differ. */
  static async start(subnet: number): Promise<OwnEngine> {
    const folder = await mkdtemp(join(tmpdir(), "chaos-engine-"));
    const bridge = `chaos${subnet}`;
    await run("ip", ["link", "add", "name", bridge, "type", "bridge"]);
    const engine = new OwnEngine(folder, bridge, subnet);
    try {
      await run("ip", ["addr", "add", `10.${subnet}.0.1/24`, "dev", bridge]);
      await run("ip", ["link", "set", bridge, "up"]);
      await run("iptables", ["-I", "FORWARD", ...engine.#rule]);
      await mkdir(join(folder, "data"));
      await engine.#launch(subnet);
    } catch (error) {
      await engine[Symbol.asyncDispose]();
      throw error;
    }
    return engine;
  }

  #arguments: readonly string[] = [];

  /** Lets its containers reach each other, where another engine has forbidden all that it does not know. */
  get #rule(): readonly string[] {
    return ["-s", `10.${this.#subnet}.0.0/16`, "-d", `10.${this.#subnet}.0.0/16`, "-j", "ACCEPT"];
  }

  async #launch(subnet?: number): Promise<void> {
    if (subnet !== undefined) {
      const inFolder = (name: string): string => join(this.#folder, name);
      this.#arguments = [
        ...["--data-root", inFolder("data"), "--exec-root", inFolder("exec"), "--pidfile", inFolder("docker.pid")],
        // Without rules of its own: they would mix with those of the machine's engine.
        ...["-H", this.host, "--bridge", this.#bridge, "--iptables=false"],
        ...["--default-address-pool", `base=10.${subnet}.128.0/17,size=24`],
      ];
    }
    const log = createWriteStream(join(this.#folder, "dockerd.log"), { flags: "a" });
    await once(log, "open");
    const begin = (): ChildProcess =>
      spawn("dockerd", [...this.#arguments], { stdio: ["ignore", log, log], detached: true });
    this.#daemon = begin();
    await eventually(
      "the engine answers",
      () => {
        // After a kill it may take the containerd of before for its own, and end; an init system starts it again, too.
        const { exitCode, signalCode } = this.#daemon as ChildProcess;
        if (exitCode !== null || signalCode !== null) this.#daemon = begin();
        return run("docker", ["-H", this.host, "version"], { timeout: 10_000 }).then(
          () => true,
          () => false,
        );
      },
      180_000,
    );
    log.end();
  }

  /** Ends the engine, sees that it is gone, and starts it again. Returns when it was gone. Rejects when it had gone before. */
  async restart(signal: "SIGTERM" | "SIGKILL"): Promise<number> {
    if (!(await this.#end(signal))) throw new Error("the engine had ended by itself");
    const gone = Date.now();
    await rm(join(this.#folder, "docker.pid"), { force: true });
    await keepingDefaultBridge(() => this.#launch());
    return gone;
  }

  /** Whether it still ran. */
  async #end(signal: "SIGTERM" | "SIGKILL"): Promise<boolean> {
    const daemon = this.#daemon;
    if (daemon === undefined || daemon.exitCode !== null || daemon.signalCode !== null) return false;
    const ended = once(daemon, "exit");
    daemon.kill(signal);
    await ended;
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end("SIGTERM");
    await run("ip", ["link", "del", this.#bridge]).catch(() => undefined);
    await run("iptables", ["-D", "FORWARD", ...this.#rule]).catch(() => undefined);
    // It mounts the folder of its data over itself, and leaves that so.
    await run("umount", ["-l", join(this.#folder, "data")]).catch(() => undefined);
    await rm(this.#folder, { recursive: true, force: true });
  }
}

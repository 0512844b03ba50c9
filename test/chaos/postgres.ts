import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { appendFile, chown, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePort } from "../free-port.ts";
import { poll } from "./rig.ts";

/** How a PostgreSQL is stopped: `fast` tells its clients, `immediate` breaks their connections. */
export type Stop = "fast" | "immediate";

const signals = { fast: "SIGINT", immediate: "SIGQUIT" } as const;

/** PostgreSQL does not run as root: then it is nobody's. */
const user = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

export interface PostgresOptions {
  readonly reachable?: boolean;
  readonly settings?: readonly string[];
  readonly files?: Readonly<Record<string, string>>;
}

/** A real PostgreSQL with a database of its own, which can be stopped and started again on its port. */
export class Postgres implements AsyncDisposable {
  readonly port: number;
  private readonly folder: string;
  private readonly programs: string;
  private readonly settings: readonly string[];
  private server: ChildProcess | undefined;

  private constructor(folder: string, port: number, programs: string, settings: readonly string[]) {
    this.folder = folder;
    this.port = port;
    this.programs = programs;
    this.settings = settings;
  }

  /**
   * With `reachable`, containers of this machine reach it, too, without a password. `settings`: more of its own, `name=value`.
   * `files`: copies in its data folder, which only it can read.
   */
  static async create({ reachable = false, settings = [], files = {} }: PostgresOptions = {}): Promise<Postgres> {
    const folder = await mkdtemp(join(tmpdir(), "flowctl-postgres-"));
    if (user.uid !== undefined) await chown(folder, user.uid, user.gid);
    const listen = [`listen_addresses=${reachable ? "*" : "127.0.0.1"}`, `unix_socket_directories=${folder}`];
    const all = [...listen, "fsync=off", ...settings];
    const postgres = new Postgres(folder, await freePort(), programsFolder(), all);
    try {
      await postgres.run("initdb", "--pgdata=data", "--username=flow", "--auth=trust", "--no-sync");
      for (const [name, source] of Object.entries(files)) {
        const file = join(folder, "data", name);
        await writeFile(file, await readFile(source), { mode: 0o600 });
        if (user.uid !== undefined) await chown(file, user.uid, user.gid);
      }
      if (reachable)
        await appendFile(
          join(folder, "data/pg_hba.conf"),
          ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"].map((pool) => `host all all ${pool} trust\n`).join(""),
        );
      await postgres.start();
      return postgres;
    } catch (error) {
      await postgres[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Resolves when it takes connections. */
  async start(): Promise<void> {
    const args = ["-D", "data", "-p", String(this.port), ...this.settings.flatMap((setting) => ["-c", setting])];
    const server = spawn(join(this.programs, "postgres"), args, { ...this.place, stdio: "ignore" });
    this.server = server;
    await poll(async () => {
      if (server.exitCode !== null) throw new Error(`PostgreSQL exited with ${server.exitCode}`);
      return await this.query("select 1").then(
        () => true,
        () => false,
      );
    });
  }

  /** Resolves when it has ended. */
  async stop(how: Stop): Promise<void> {
    const server = this.server;
    this.server = undefined;
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return;
    const ended = once(server, "exit");
    server.kill(signals[how]);
    await ended;
  }

  /** What the statements give, a line a row. */
  async query(...statements: readonly string[]): Promise<string[]> {
    const commands = statements.flatMap((statement) => ["-c", statement]);
    const said = await this.run("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", ...this.address, ...commands);
    return said.split("\n").filter((line) => line !== "");
  }

  /** Holds the table so that nobody else writes, until the server stops. Resolves once a writer waits, or `given up`. */
  async block(table: string, givenUp: () => boolean): Promise<void> {
    const lock = `begin; lock table ${table}; select pg_sleep(86400)`;
    const args = ["-XAtq", ...this.address, "-c", lock];
    spawn(join(this.programs, "psql"), args, { ...this.place, stdio: "ignore" });
    const waiting = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like 'insert%'";
    await poll(async () => givenUp() || (await this.query(waiting)).length > 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("immediate");
    await rm(this.folder, { recursive: true, force: true });
  }

  private get address(): string[] {
    return ["-h", "127.0.0.1", "-p", String(this.port), "-U", "flow", "-d", "postgres"];
  }

  private get place() {
    return { ...user, cwd: this.folder, env: { PATH: process.env.PATH, LC_ALL: "C" } };
  }

  private async run(program: string, ...args: readonly string[]): Promise<string> {
    return (await promisify(execFile)(join(this.programs, program), args, this.place)).stdout;
  }
}

/** Where its programs are: on the path, or where Debian has those of each version. */
function programsFolder(): string {
  const debian = "/usr/lib/postgresql";
  const versions = existsSync(debian) ? readdirSync(debian).map((version) => join(debian, version, "bin")) : [];
  const folders = [...versions.toReversed(), ...(process.env.PATH ?? "").split(":")];
  const found = folders.find((folder) => existsSync(join(folder, "initdb")) && existsSync(join(folder, "psql")));
  if (found !== undefined) return found;
  throw new Error("PostgreSQL is not installed: apt-get install postgresql, or FLOWCTL_TEST_SKIP=postgres");
}

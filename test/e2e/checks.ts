import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { constants, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { BUILT } from "../build-once.ts";
import { flowctlHere } from "./flowctl-here.ts";
import { GrowingFile } from "./growing-file.ts";
import { type Ended, runProgram } from "./run-program.ts";

const repository = resolve(import.meta.dirname, "../..");
const program = join(repository, "dist/flowctl.js");

/** The image of built-in components, which `up` on Docker makes: what images of tests can be built on. */
export async function flowctlImage(): Promise<string> {
  const { version } = JSON.parse(await readFile(join(repository, "package.json"), "utf8")) as { version: string };
  return `flowctl:${version}`;
}

/** Removes the images with the label `dev.flowctl.test` of this value, whatever they are named by now. */
async function removeTestImages(label: string): Promise<void> {
  const run = promisify(execFile);
  const { stdout } = await run("docker", ["image", "ls", "-q", "--filter", `label=dev.flowctl.test=${label}`]);
  const ids = new Set(stdout.split("\n").filter((id) => id !== ""));
  if (ids.size > 0) await run("docker", ["image", "rm", "-f", ...ids]);
}

/** Builds dist/, which the scenarios run, unless the run of the tests has built it. */
export async function buildProgram(): Promise<void> {
  if (process.env[BUILT] === repository) return;
  const { code, stderr } = await runProgram(process.execPath, ["scripts/build.mjs"], { cwd: repository });
  if (code !== 0) throw new Error(stderr);
}

/** One line of `flowctl ps --json`, as far as tests look at it. */
export interface Instance {
  readonly instance: string;
  readonly component: string;
  readonly type: string;
  readonly state: string;
  readonly restarts: number;
  readonly ref: string;
  /** `host:port->what`. */
  readonly ports: readonly string[];
  readonly metrics?: { readonly eventsIn: number; readonly eventsOut: number };
}

/** A flowctl that a test started and has not waited for. */
export interface Running {
  readonly child: ChildProcess;
  /** All it said so far on both streams. */
  said(): string;
  /** Resolves once what it said matches; fails with all it said when it does not within 60 s, or ended before. */
  until(pattern: RegExp): Promise<void>;
  readonly ended: Promise<Ended>;
}

/**
 * A folder with a pipeline of its own name, and a flowctl that keeps its things apart from everyone else's. Disposing
 * takes the pipeline down and the folder away; the folder stays in FLOWCTL_TEST_ARTIFACTS when the test failed.
 */
export class Scenario implements AsyncDisposable {
  readonly name: string;
  readonly folder: string;
  readonly driver: "process" | "docker";
  readonly env: NodeJS.ProcessEnv;
  #passed = false;
  readonly #running: Running[] = [];
  readonly #growing = new Map<string, GrowingFile>();

  private constructor(driver: "process" | "docker", name: string, folder: string) {
    this.driver = driver;
    this.name = name;
    this.folder = folder;
    const { FLOWCTL_DRIVER: _driver, ...env } = process.env;
    this.env = {
      ...env,
      FLOWCTL_HOME: join(folder, ".home"),
      FLOWCTL_CONFIG_FILE: "",
      XDG_CONFIG_HOME: join(folder, ".config"),
      FLOWCTL_DRIVER: driver,
    };
  }

  static async on(driver: "process" | "docker", pipeline: string): Promise<Scenario> {
    const name = `e2e-${randomBytes(4).toString("hex")}`;
    const folder = await mkdtemp(join(tmpdir(), `flowctl-${name}-`));
    const scenario = new Scenario(driver, name, folder);
    await scenario.pipeline(pipeline);
    return scenario;
  }

  /** Writes the pipeline file anew; its name is put on top. */
  async pipeline(text: string): Promise<void> {
    await this.write("flowctl.yaml", `name: ${this.name}\n${text}`);
  }

  async write(file: string, text: string): Promise<void> {
    await writeFile(join(this.folder, file), text);
  }

  /** The lines of a file below the folder; none while it does not exist. Reads on from where the last look ended, as polls look often. */
  async lines(file: string): Promise<readonly string[]> {
    const growing = this.#growing.get(file) ?? new GrowingFile(join(this.folder, file));
    this.#growing.set(file, growing);
    return growing.lines();
  }

  /** Runs a command to its end, within this process. */
  flowctl(...args: string[]): Promise<Ended> {
    return flowctlHere(args, this.folder, this.env);
  }

  /** Runs the program to its end: for what is about the program and not about the command. */
  program(...args: string[]): Promise<Ended> {
    return runProgram(process.execPath, [program, ...args], { cwd: this.folder, env: this.env });
  }

  /** Runs flowctl to its end, which has to be a success; returns what it printed. */
  async succeed(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.flowctl(...args);
    if (code !== 0) throw new Error(`flowctl ${args.join(" ")} ended with ${code}\n${stdout}\n${stderr}`);
    return stdout;
  }

  /** Starts flowctl and returns at once. */
  start(...args: string[]): Running {
    return this.startProgram(process.execPath, [program, ...args]);
  }

  /** Starts a program in the folder of the pipeline and returns at once. */
  startProgram(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Running {
    const child = spawn(command, args, {
      cwd: this.folder,
      env: { ...this.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    const ended = new Promise<Ended>((done) => {
      child.once("close", (code, signal) =>
        done({ code: code ?? 128 + constants.signals[signal ?? "SIGKILL"], stdout, stderr }),
      );
    });
    const said = (): string => stdout + stderr;
    const until = async (pattern: RegExp): Promise<void> => {
      const end = Date.now() + 60_000;
      while (!pattern.test(said())) {
        const over = child.exitCode !== null || child.signalCode !== null;
        if (over || Date.now() > end) throw new Error(`${args.join(" ")} never said ${pattern}:\n${said()}`);
        await new Promise((wake) => setTimeout(wake, 20));
      }
    };
    const running = { child, said, until, ended };
    this.#running.push(running);
    return running;
  }

  async instances(): Promise<readonly Instance[]> {
    const { code, stdout } = await this.flowctl("ps", this.name, "--json");
    return code === 0 ? (JSON.parse(stdout) as Instance[]) : [];
  }

  /** Component instances by name, each with the driver's reference of what runs it. */
  async refs(): Promise<Readonly<Record<string, string>>> {
    const instances = await this.instances();
    return Object.fromEntries(instances.map(({ instance, ref }) => [instance, ref]));
  }

  /** Everything of the pipeline that still exists on this machine, looked for without flowctl. */
  async leftovers(): Promise<readonly string[]> {
    return this.driver === "docker"
      ? dockerLeftovers(this.name)
      : processLeftovers(join(this.folder, ".home"), this.folder);
  }

  /** Says that the test has got through: nothing is kept of it. */
  passed(): void {
    this.#passed = true;
  }

  async #keep(artifacts: string): Promise<void> {
    const kept = join(artifacts, this.name);
    await mkdir(kept, { recursive: true });
    console.error(`what happened is in ${kept}`);
    for (const command of ["status", "ps", "events", "logs", "logs control-plane"]) {
      const { stdout, stderr } = await this.flowctl(...command.split(" "), "-p", this.name);
      await writeFile(join(kept, `${command}.said.txt`), stdout + stderr);
    }
    await cp(this.folder, kept, { recursive: true, filter: (path) => !/\.(sock|pipe)$|pipe\.yaml$/.test(path) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { child, ended } of this.#running) {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      await ended;
    }
    const artifacts = process.env.FLOWCTL_TEST_ARTIFACTS;
    // Whatever comes of that, nothing is left behind.
    if (!this.#passed && artifacts !== undefined) await this.#keep(artifacts).catch(console.error);
    if ((await this.leftovers()).length > 0) await this.flowctl("down", this.name, "-v", "--timeout", "0");
    if (this.driver === "docker") await removeTestImages(this.name);
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** What there is in a flowctl's home, and the processes that have the folder in their environment. */
export async function processLeftovers(home: string, folder: string): Promise<readonly string[]> {
  const pipelines = await readdir(join(home, "pipelines")).catch(() => []);
  return [...pipelines.map((name) => `folder ${name}`), ...(await processesOf(folder))];
}

/** Containers, networks and volumes of a pipeline. */
export async function dockerLeftovers(name: string): Promise<readonly string[]> {
  const run = promisify(execFile);
  const lists: readonly (readonly string[])[] = [
    ["ps", "-a", "--filter", `label=dev.flowctl.pipeline=${name}`, "--format", "container {{.Names}}"],
    ["network", "ls", "--filter", `name=${name}`, "--format", "network {{.Name}}"],
    ["volume", "ls", "--filter", `name=${name}`, "--format", "volume {{.Name}}"],
  ];
  const found = await Promise.all(lists.map(async (list) => (await run("docker", [...list])).stdout.split("\n")));
  return found.flat().filter((line) => line !== "");
}

/** Processes that have a scenario's folder in their environment. */
async function processesOf(folder: string): Promise<readonly string[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const found: string[] = [];
  for (const pid of pids) {
    const environment = await readFile(`/proc/${pid}/environ`, "utf8").catch(() => "");
    if (!environment.includes(folder)) continue;
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    found.push(`process ${pid} ${command.replaceAll("\0", " ")}`);
  }
  return found;
}

/**
 * Polls until `check` gives something true; fails with what it gave last when that takes longer than `withinMs`. Rests four times as
 * long as a look takes: many of them run flowctl, and what is looked at needs the processors as well.
 */
export async function eventually<T>(what: string, check: () => Promise<T> | T, withinMs = 60_000): Promise<T> {
  const end = Date.now() + withinMs;
  for (;;) {
    const began = Date.now();
    const value = await check();
    if (value) return value;
    const now = Date.now();
    if (now > end) throw new Error(`${what}: not within ${withinMs} ms; last seen: ${JSON.stringify(value)}`);
    await new Promise((wake) => setTimeout(wake, Math.min(2_000, Math.max(50, 4 * (now - began)))));
  }
}

import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Watched } from "./port.ts";

const probe = fileURLToPath(new URL("fixtures/probe.mjs", import.meta.url));

/** What a program holds once everything that nobody needs is collected. */
export interface Holdings {
  /** Heap and buffers outside of it, in bytes. */
  readonly held: number;
  /** Resident memory, in bytes. */
  readonly rss: number;
  /** Open file descriptors. */
  readonly descriptors: number;
}

/** The heap of an attacked program, in MiB: a heap that grows with what it is sent ends the program, which is found. */
const HEAP_MIB = 256;

/** A program that is attacked, as a process of its own: that it crashes, and what it holds, is seen. */
export class Target implements Watched, AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #gone: Promise<void>;
  #log = "";
  #asked = 0;
  readonly #answers = new Map<number, (answer: unknown) => void>();
  #over = false;

  /** @param file What Node.js runs. @param environment All of it, besides PATH. */
  constructor(file: string, environment: Readonly<Record<string, string>>, args: readonly string[] = []) {
    const flags = ["--expose-gc", `--max-old-space-size=${HEAP_MIB}`, "--import", probe];
    this.#child = spawn(process.execPath, [...flags, file, ...args], {
      env: { PATH: process.env.PATH ?? "", ...environment },
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on("data", (chunk) => {
        this.#log = (this.#log + String(chunk)).slice(-20_000);
      });
    }
    this.#child.on("message", (message) => {
      const { id, answer } = message as { readonly id: number; readonly answer: unknown };
      this.#answers.get(id)?.(answer);
      this.#answers.delete(id);
    });
    this.#gone = new Promise((resolve) => this.#child.once("exit", () => resolve()));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The last that it wrote, to standard output and standard error. */
  get log(): string {
    return this.#log;
  }

  /** Throws with its last words when the program has ended. */
  requireAlive(): void {
    const { exitCode, signalCode } = this.#child;
    if (this.#over || (exitCode === null && signalCode === null)) return;
    throw new Error(`the program ended (${signalCode ?? `code ${exitCode}`}):\n${this.#log.slice(-4_000)}`);
  }

  async ended(patienceMs: number): Promise<void> {
    await Promise.race([this.#gone, pause(patienceMs)]);
  }

  measure(): Promise<Holdings> {
    return this.ask<Holdings>("holdings");
  }

  /** Waits for the answer at most `patienceMs`: a program whose event loop does not turn fails. */
  async ask<T>(question: string, patienceMs = 20_000): Promise<T> {
    this.requireAlive();
    const id = ++this.#asked;
    this.#child.send({ id, question }, () => undefined);
    return await this.#answer<T>(id, patienceMs);
  }

  /** Waits for a program that says by itself, as the answer 0, that it can be asked. */
  async ready(patienceMs = 60_000): Promise<void> {
    await this.#answer(0, patienceMs);
  }

  async #answer<T>(id: number, patienceMs: number): Promise<T> {
    const answer = new Promise<T>((resolve) => this.#answers.set(id, resolve as (answer: unknown) => void));
    const given = await Promise.race([answer, this.#gone, pause(patienceMs)]);
    this.requireAlive();
    if (given === undefined) throw new Error(`the program was busy for more than ${patienceMs} ms`);
    return given;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over = true;
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill("SIGKILL");
    await this.#gone;
  }
}

function pause(ms: number): Promise<undefined> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(undefined), ms).unref();
  });
}

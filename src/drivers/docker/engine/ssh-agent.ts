import { type ChildProcessByStdio, spawn } from "node:child_process";
import { Agent } from "node:http";
import type { Socket } from "node:net";
import { Duplex, type Readable, type Writable } from "node:stream";
import type { EngineEndpoint } from "./endpoint.ts";

type SshEndpoint = Extract<EngineEndpoint, { readonly kind: "ssh" }>;

/** So much is kept of what ssh says. */
const SAID = 500;

/**
 * Connections to the engine of another machine, each of them a program `ssh` that runs `docker system dial-stdio` there. As
 * with the docker command line, ssh's own configuration, keys and known hosts count, and it never asks for anything: there
 * may be no terminal. A connection is kept for the next request, and nothing of it outlives this process, however it ends.
 */
export class SshAgent extends Agent {
  readonly #args: readonly string[];
  readonly #env: Readonly<Record<string, string | undefined>>;

  /** @param env - of ssh, whose PATH also decides which ssh runs */
  constructor(endpoint: SshEndpoint, env: Readonly<Record<string, string | undefined>>) {
    super({ keepAlive: true });
    this.#args = sshArguments(endpoint);
    this.#env = env;
  }

  override createConnection(): Duplex {
    return new SshConnection(spawn("ssh", this.#args, { env: this.#env, stdio: ["pipe", "pipe", "pipe"] }));
  }
}

/** What ssh is called with; a port or user that is not said is left to its configuration. */
function sshArguments({ host, port, user }: SshEndpoint): readonly string[] {
  return [
    ...["-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-T"],
    ...(user === "" ? [] : ["-l", user]),
    ...(port === 22 ? [] : ["-p", String(port)]),
    ...["--", host, "docker", "system", "dial-stdio"],
  ];
}

/**
 * Both directions of a program as one connection, with as much of a socket as an http agent asks of it. One that fails does
 * so with what the program said last, after it has ended.
 */
class SshConnection extends Duplex {
  readonly #ssh: ChildProcessByStdio<Writable, Readable, Readable>;

  constructor(ssh: ChildProcessByStdio<Writable, Readable, Readable>) {
    super({ allowHalfOpen: true });
    this.#ssh = ssh;
    let said = "";
    ssh.stderr.setEncoding("utf8").on("data", (text: string) => {
      said = (said + text).slice(-SAID);
    });
    ssh.stdout.on("data", (chunk: Buffer) => void (this.push(chunk) || ssh.stdout.pause()));
    // What was not taken by a program that ended is told by its end.
    for (const stream of [ssh.stdin, ssh.stdout, ssh.stderr]) stream.on("error", () => undefined);
    ssh.on("error", (error) => this.destroy(new Error(`cannot run ssh: ${error.message}`)));
    ssh.on("close", (code) => {
      const complaint = said.trim().split("\n").at(-1) ?? "";
      if (code !== 0 && complaint !== "") this.destroy(new Error(complaint));
      else this.push(null);
    });
  }

  override _read(): void {
    this.#ssh.stdout.resume();
  }

  override _write(chunk: Buffer, _: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#ssh.stdin.write(chunk, () => done());
  }

  override _final(done: () => void): void {
    this.#ssh.stdin.end(() => done());
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#ssh.kill();
    done(error);
  }

  /** Holds the process from ending; so does a new connection. */
  ref(): this {
    for (const part of this.#parts()) part.ref();
    return this;
  }

  /** Lets the process end, as a connection does that waits for its next request. */
  unref(): this {
    for (const part of this.#parts()) part.unref();
    return this;
  }

  /** ssh keeps its connection alive as its configuration says. */
  setKeepAlive(): this {
    return this;
  }

  /** ssh decides about its packets. */
  setNoDelay(): this {
    return this;
  }

  /** Nobody asks for one. */
  setTimeout(): this {
    return this;
  }

  #parts(): readonly { ref(): void; unref(): void }[] {
    const { stdin, stdout, stderr } = this.#ssh;
    return [this.#ssh, ...([stdin, stdout, stderr] as unknown as Socket[])];
  }
}

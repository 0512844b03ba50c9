import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EngineEndpoint } from "./endpoint.ts";
import { listenForRelay } from "./relay.ts";

export type SshEndpoint = Extract<EngineEndpoint, { readonly kind: "ssh" }>;

/** A way to the engine of another machine: a socket here, each of whose connections goes through `ssh` to the one there. */
export interface SshWay {
  readonly socketPath: string;
  /** What ssh, or the docker command of the other machine, said when a connection failed last; empty when none did. */
  complaint(): string;
}

/** So much is kept of what ssh says. */
const SAID = 500;

/**
 * As the docker command line does it: by the ssh program, so that its configuration, keys and known hosts count, and by
 * `docker system dial-stdio` on the other machine. It never asks for anything: there may be no terminal. The socket is in a
 * folder of its own that only this user can enter, and goes with the process.
 */
export async function openSshWay(
  endpoint: SshEndpoint,
  env: Readonly<Record<string, string | undefined>>,
): Promise<SshWay> {
  const folder = await mkdtemp(join(tmpdir(), "flowctl-ssh-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const socketPath = join(folder, "docker.sock");
  let complaint = "";
  await listenForRelay({ path: socketPath }, (connection) => {
    carry(connection, sshArguments(endpoint), env, (said) => {
      complaint = said;
    });
  });
  return { socketPath, complaint: () => complaint };
}

/** What ssh is called with; a port or user that is not said is left to its configuration. */
export function sshArguments({ host, port, user }: SshEndpoint): readonly string[] {
  return [
    ...["-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-T"],
    ...(user === "" ? [] : ["-l", user]),
    ...(port === 22 ? [] : ["-p", String(port)]),
    ...["--", host, "docker", "system", "dial-stdio"],
  ];
}

function carry(
  connection: Socket,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  failed: (complaint: string) => void,
): void {
  const ssh = spawn("ssh", args, { env, stdio: ["pipe", "pipe", "pipe"] });
  let said = "";
  ssh.unref();
  for (const stream of [ssh.stdin, ssh.stdout, ssh.stderr]) {
    (stream as unknown as Socket).unref();
    stream.on("error", () => connection.destroy());
  }
  ssh.stderr.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-SAID);
  });
  ssh.on("error", (error) => {
    failed(`cannot run ssh: ${error.message}`);
    connection.destroy();
  });
  ssh.on("close", (code) => {
    if (code !== 0 && said !== "") failed(said.trim().split("\n").at(-1) ?? "");
    connection.destroy();
  });
  connection.pipe(ssh.stdin);
  ssh.stdout.pipe(connection);
  connection.on("close", () => ssh.kill());
}

import type { AddressInfo, Socket } from "node:net";
import { PassThrough } from "node:stream";
import type Dockerode from "dockerode";
import { listenForRelay } from "./relay.ts";

/** Runs in the container: connects what it is given to a port there. */
const CONNECT =
  'const s=require("node:net").connect(+process.argv[1],"127.0.0.1");process.stdin.pipe(s).pipe(process.stdout);s.on("error",()=>process.exit(1));s.on("close",()=>process.exit(0))';

/**
 * Ports of containers on the engine of another machine, reached through that engine: nothing of a pipeline has to be published
 * to the network for it. Every tunnel is made once and goes with the process.
 */
export class Tunnels {
  readonly #docker: Dockerode;
  readonly #open = new Map<string, Promise<string>>();

  constructor(docker: Dockerode) {
    this.#docker = docker;
  }

  /** A `host:port` of this machine that leads to a port in a container. The container's image has to have Node.js. */
  to(container: string, port: number): Promise<string> {
    const key = `${container}:${port}`;
    let tunnel = this.#open.get(key);
    if (tunnel === undefined) {
      tunnel = this.#listen(container, port);
      this.#open.set(key, tunnel);
    }
    return tunnel;
  }

  async #listen(container: string, port: number): Promise<string> {
    const server = await listenForRelay((connection) => {
      this.#carry(connection, container, port).catch(() => connection.destroy());
    });
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  async #carry(connection: Socket, container: string, port: number): Promise<void> {
    const execution = await this.#docker.getContainer(container).exec({
      AttachStdin: true,
      AttachStdout: true,
      Cmd: ["node", "-e", CONNECT, String(port)],
    });
    const stream = (await execution.start({ hijack: true, stdin: true })) as unknown as Socket;
    stream.unref?.();
    stream.on("error", () => connection.destroy());
    stream.on("close", () => connection.destroy());
    connection.on("close", () => stream.destroy());
    const errors = new PassThrough().resume();
    this.#docker.modem.demuxStream(stream, connection, errors);
    stream.on("end", () => connection.end());
    connection.pipe(stream);
  }
}

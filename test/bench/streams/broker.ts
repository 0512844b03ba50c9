import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atExit } from "../at-exit.ts";
import type { Contender } from "../samples.ts";
import { Crew } from "./crew.ts";
import { portOf, type Settings } from "./parts/settings.ts";
import { makeLocalPlace } from "./place.ts";
import type { Programs } from "./programs.ts";
import type { AtSink } from "./run-parts.ts";

export interface Broker {
  readonly name: string;
  readonly kind: "jetstream" | "redis";
  readonly command: string;
  /** Arguments that make it wait for the disk before it confirms anything. */
  arguments(folder: string, port: number): Promise<readonly string[]>;
}

export const JETSTREAM: Broker = {
  name: "JetStream, sync_interval always",
  kind: "jetstream",
  command: "nats-server",
  arguments: async (folder, port) => {
    const path = join(folder, "server.conf");
    const lines = [`listen: 127.0.0.1:${port}`, `jetstream { store_dir: "${folder}", sync_interval: always }`];
    await writeFile(path, lines.join("\n"));
    return ["-c", path];
  },
};

export const REDIS: Broker = {
  name: "Redis streams, appendfsync always",
  kind: "redis",
  command: "redis-server",
  arguments: async (folder, port) => [
    ...["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--daemonize", "no"],
    ...["--appendonly", "yes", "--appendfsync", "always", "--loglevel", "warning"],
  ],
};

const PATIENCE_MS = 120_000;

/** A contender that puts batches of events into the server and takes them out, and measures events per second at the sink. */
export function throughBroker(
  programs: Programs,
  broker: Broker,
  { count, size, batch }: { readonly count: number; readonly size: number; readonly batch: number },
): Contender {
  return { name: broker.name, run: async () => await run(programs, broker, { count, size, batch }) };
}

async function run(
  programs: Programs,
  broker: Broker,
  amount: { readonly count: number; readonly size: number; readonly batch: number },
): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), "flowctl-bench-broker-"));
  const forget = atExit(() => rmSync(folder, { recursive: true, force: true }));
  const place = await makeLocalPlace();
  const crew = new Crew();
  try {
    const { bind } = await place.addressOf("server");
    const server = spawn(broker.command, await broker.arguments(folder, portOf(bind)), {
      stdio: ["ignore", "pipe", "pipe"],
    });
    crew.add("server", server, () => undefined);
    const result = new Promise<AtSink>((resolve) => {
      for (const role of ["sink", "source"] as const) {
        const settings: Settings = {
          ...{ role, ...amount, upstream: bind, broker: broker.kind, rate: 0, listen: "", groups: 1 },
          ...{ anew: false, awaited: false },
        };
        const child = place.start(role, [programs.pathOf("broker")], { BENCH: JSON.stringify(settings) });
        crew.add(role, child, (line) => {
          const said = /^RESULT (\{.*\})$/.exec(line);
          if (said !== null) resolve(JSON.parse(said[1]!) as AtSink);
        });
      }
    });
    return (await crew.during(result, `the run through ${broker.command}`, PATIENCE_MS)).perSecond;
  } finally {
    await crew.dismiss();
    await place.dispose();
    await rm(folder, { recursive: true, force: true });
    forget();
  }
}

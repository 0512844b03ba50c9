import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath, pathToFileURL } from "node:url";
import { expect } from "vitest";
import type { DriverEvent, LogLine } from "../../src/drivers/driver.ts";
import { bundledProgram } from "../bundled-program.ts";
import { eventually, type World } from "./driver-world.ts";

/** Collects the events of a world's pipeline. */
export function watch(world: World) {
  const events: DriverEvent[] = [];
  let ready = false;
  const reading = (async () => {
    const stream = world.driver.events(world.name, world.signal)[Symbol.asyncIterator]();
    const first = stream.next();
    ready = true;
    for (let next = await first; !next.done; next = await stream.next()) events.push(next.value);
  })();
  reading.catch(() => undefined);
  return {
    /** Waits until events of what was made so far have come, so that the stream surely stands. */
    connected: () => eventually(async () => expect(ready).toBe(true)),
    exits: (key: string) => events.flatMap((event) => (event.type === "exited" && event.key === key ? [event] : [])),
    of: (key: string) =>
      events
        .filter((event) => event.key === key && event.type !== "health")
        .map((event) => (event.type === "exited" ? `exited ${event.exitCode}` : event.type)),
  };
}

/** Follows the log of a world's pipeline. */
export function follow(world: World) {
  const lines: LogLine[] = [];
  const stop = new AbortController();
  const reading = (async () => {
    const options = { select: [], follow: true };
    for await (const line of world.driver.logs(world.name, options, AbortSignal.any([world.signal, stop.signal]))) {
      lines.push(line);
    }
  })();
  return {
    texts: (instance: string) => lines.filter((line) => line.instance === instance).map(({ text }) => text),
    /** Ends following, and fails if it had failed. */
    end: async () => {
      stop.abort();
      await reading;
    },
  };
}

/** Lets another process bring a pipeline up, and kills it without warning as it begins its step number `step`. */
export async function upUntilKilled(world: World, fixtureModule: string, step: number): Promise<NodeJS.Signals | null> {
  const program = bundledProgram(fileURLToPath(new URL("fixtures/up-until-killed.ts", import.meta.url)));
  const module = pathToFileURL(bundledProgram(fileURLToPath(fixtureModule))).href;
  const child: ChildProcess = spawn(process.execPath, [program, module, world.name, String(step)], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  const [, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
  return signal;
}

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createProcessDriver } from "../../../src/drivers/process/driver.ts";
import { driverEvents } from "../../../src/drivers/process/events.ts";
import { createSupervisorClient } from "../../../src/drivers/process/supervisor/supervisor-client.ts";
import { supervisorService } from "../../../src/drivers/process/supervisor/supervisor-messages.ts";
import { systemClock } from "../../../src/foundation/clock.ts";
import { createBench, scriptedComponent } from "../../integration/process-driver/bench.ts";
import { inParallel, sendRaw, shoot } from "../connections.ts";
import { grpcShot } from "../generators/grpc-shots.ts";
import { supervisorBytes, supervisorRequest } from "../generators/supervisor-requests.ts";
import type { Attack, Port, Watched } from "../port.ts";

const repository = fileURLToPath(new URL("../../..", import.meta.url));
const PATIENCE_MS = 15_000;
const KIB = 1024;

/**
 * The supervisor's socket. Beside the attacker: an instance that runs, and a command that follows events. A supervisor that a
 * driver has started cannot be asked what it holds: its resident memory is measured.
 */
export const supervisorPort: Port = { batch: 500, growthMiB: 250, residentMiB: 450, open };

async function open(): Promise<Attack> {
  const bench = createBench();
  const driver = createProcessDriver({
    packageRoot: repository,
    version: "0.0.0-test",
    environment: { ...process.env, FLOWCTL_HOME: bench.home },
    clock: systemClock,
  });
  const over = new AbortController();
  const supervisors = createSupervisorClient();
  let lost: unknown;
  try {
    await bench.up(bench.deployment([scriptedComponent("a", "serve")]), driver);
  } catch (error) {
    await bench[Symbol.asyncDispose]();
    throw error;
  }
  const supervisor = bench.supervisor().pid;
  const instance = pidOf(bench.processes());
  const following = (async () => {
    for await (const event of driverEvents(supervisors, bench.paths, systemClock, over.signal)) {
      if (event.key === "component/a-1") throw new Error(`the honest command was told ${JSON.stringify(event)}`);
    }
  })().catch((error: unknown) => {
    if (!over.signal.aborted) lost = error;
  });
  const check = async (): Promise<void> => {
    if (lost !== undefined) throw lost;
    const { pid } = await createSupervisorClient().hello(bench.paths, over.signal, PATIENCE_MS);
    if (pid !== supervisor) throw new Error(`process ${pid} answers in place of the supervisor ${supervisor}`);
    if (pidOf(bench.processes()) !== instance) throw new Error("the honest instance does not run any more");
  };
  return {
    target: watched(supervisor),
    check,
    finish: check,
    async send(inputs) {
      const raw = inputs.filter(({ random }) => random.chance(0.3));
      const shots = inputs
        .filter((input) => !raw.includes(input))
        .map(({ random }) => {
          const { path, bytes, mayBeDamaged } = supervisorRequest(random);
          return grpcShot(path, [bytes], mayBeDamaged, random);
        });
      await shoot(bench.paths.socket, shots, (path) => path === supervisorService.watchEvents.path);
      await inParallel(raw, 32, ({ random }) => {
        const { pieces, ending } = supervisorBytes(random);
        return sendRaw({ path: bench.paths.socket }, pieces, ending);
      });
    },
    async [Symbol.asyncDispose]() {
      over.abort();
      await following;
      await bench[Symbol.asyncDispose]();
    },
  };
}

function pidOf(processes: readonly { readonly instance?: string | undefined; readonly pid: number }[]): number {
  const instances = processes.filter((one) => one.instance !== undefined);
  if (instances.length !== 1 || instances[0]?.instance !== "a-1")
    throw new Error(`there run ${instances.map((one) => one.instance).join(", ") || "no instances"}`);
  return instances[0].pid;
}

function watched(pid: number): Watched {
  const status = (): string | undefined => {
    try {
      return readFileSync(`/proc/${pid}/status`, "utf8");
    } catch {
      return undefined;
    }
  };
  const requireAlive = (): void => {
    if (status() === undefined) throw new Error(`the supervisor, process ${pid}, has ended`);
  };
  return {
    requireAlive,
    ended: async (patienceMs) => {
      const end = Date.now() + patienceMs;
      while (status() !== undefined && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 20));
    },
    async measure() {
      requireAlive();
      const rss = KIB * Number(/^VmRSS:\s+(\d+) kB$/m.exec(status() ?? "")?.[1] ?? 0);
      return { rss, held: rss, descriptors: readdirSync(`/proc/${pid}/fd`).length };
    },
  };
}

import type { Clock } from "../../../foundation/clock.ts";
import { silentLogger } from "../../../foundation/logger.ts";
import type { PipelinePaths } from "../home/paths.ts";
import { removeLogFiles } from "../logs/log-collector.ts";
import { acquireLock } from "../supervisor/single-instance-lock.ts";
import { createEngine, type Engine } from "./engine.ts";

/** Engines inside a command, for ending things while no supervisor runs. */
export interface LocalEngines {
  /**
   * Does `work` with an engine that has recovered what there is, and returns true; returns false without doing it when
   * another process holds the pipeline's lock. Work at the same time on the same pipeline shares one engine.
   */
  use(paths: PipelinePaths, work: (engine: Engine) => Promise<void>): Promise<boolean>;
}

interface Lease {
  readonly engine: Promise<{ readonly engine: Engine; readonly release: () => Promise<void> } | undefined>;
  users: number;
}

export function createLocalEngines(clock: Clock): LocalEngines {
  const leases = new Map<string, Lease>();
  return {
    async use(paths, work) {
      const lease = leases.get(paths.runId) ?? { engine: openEngine(paths, clock), users: 0 };
      leases.set(paths.runId, lease);
      lease.users++;
      try {
        const opened = await lease.engine;
        if (opened === undefined) return false;
        await work(opened.engine);
        return true;
      } finally {
        lease.users--;
        if (lease.users === 0) {
          leases.delete(paths.runId);
          const opened = await lease.engine.catch(() => undefined);
          await opened?.release();
        }
      }
    },
  };
}

async function openEngine(paths: PipelinePaths, clock: Clock): Promise<Awaited<Lease["engine"]>> {
  const lock = await acquireLock(paths.runId);
  if (lock === undefined) return undefined;
  const engine = createEngine({
    paths,
    clock,
    log: silentLogger,
    inherited: () => ({}),
    // Nobody collects: readers take what is left straight from the spools.
    logs: { flush: () => undefined, forget: (instance) => removeLogFiles(paths.logs, instance) },
  });
  const release = async (): Promise<void> => {
    await engine.close();
    await lock.release();
  };
  try {
    await engine.recover();
  } catch (error) {
    await release();
    throw error;
  }
  return { engine, release };
}

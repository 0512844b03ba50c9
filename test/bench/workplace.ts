import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { runProgram, runWell } from "../e2e/run-program.ts";
import { atExit } from "./at-exit.ts";

/** The built command line. */
export const flowctl = resolve(import.meta.dirname, "../../dist/flowctl.js");

/** A folder and a state of flowctl's own for one measurement. Dispose of it when its pipelines are down. */
export interface Workplace {
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  /** `flowctl up -d`. A process that ends before `down` takes the pipeline down. */
  up(file: string, driver: string): Promise<void>;
  /** Takes a pipeline down whatever state it is in. */
  down(file: string, driver: string): Promise<void>;
  dispose(): void;
}

export function makeWorkplace(name: string): Workplace {
  const folder = mkdtempSync(join(tmpdir(), `flowctl-bench-${name}-`));
  const env = { ...process.env, FLOWCTL_HOME: join(folder, ".state"), NO_COLOR: "1" };
  mkdirSync(join(folder, ".state"));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  const forget = atExit(remove);
  const options = { cwd: folder, env };
  const downCommand = (file: string, driver: string) => [flowctl, "down", "-v", "-f", file, "--driver", driver];
  let forgetUp = (): void => undefined;
  return {
    folder,
    env,
    up: async (file, driver) => {
      forgetUp = atExit(() => void spawnSync(process.execPath, downCommand(file, driver), options));
      await runWell(process.execPath, [flowctl, "up", "-d", "-f", file, "--driver", driver], options);
    },
    down: async (file, driver) => {
      await runProgram(process.execPath, downCommand(file, driver), options);
      forgetUp();
    },
    dispose: () => {
      remove();
      forget();
    },
  };
}

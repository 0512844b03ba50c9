import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { runProgram, runWell } from "../e2e/run-program.ts";

/** The built command line. */
export const flowctl = resolve(import.meta.dirname, "../../dist/flowctl.js");

/** A folder and a state of flowctl's own for one measurement. Dispose of it when its pipelines are down. */
export interface Workplace {
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  flowctl(args: readonly string[]): Promise<void>;
  /** Takes a pipeline down whatever state it is in. */
  down(file: string, driver: string): Promise<void>;
  dispose(): void;
}

export function makeWorkplace(name: string): Workplace {
  const folder = mkdtempSync(join(tmpdir(), `flowctl-bench-${name}-`));
  const env = { ...process.env, FLOWCTL_HOME: join(folder, ".state"), NO_COLOR: "1" };
  mkdirSync(join(folder, ".state"));
  return {
    folder,
    env,
    flowctl: async (args) => {
      await runWell(process.execPath, [flowctl, ...args], { cwd: folder, env });
    },
    down: async (file, driver) => {
      await runProgram(process.execPath, [flowctl, "down", "-v", "-f", file, "--driver", driver], { cwd: folder, env });
    },
    dispose: () => rmSync(folder, { recursive: true, force: true }),
  };
}

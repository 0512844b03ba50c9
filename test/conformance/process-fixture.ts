import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, readdir, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { createProcessDriver } from "../../src/drivers/process/driver.ts";
import { pipelinePaths } from "../../src/drivers/process/home/paths.ts";
import { markedProcesses } from "../../src/drivers/process/instance/process-identity.ts";
import { processEntries } from "../../src/drivers/process/supervisor/entries.ts";
import { systemClock } from "../../src/foundation/clock.ts";
import type { DriverFixture } from "./driver-fixture.ts";

const repository = resolve(import.meta.dirname, "../..");
// Processes that the tests start work in the same home; other runs on this machine do not.
process.env.FLOWCTL_CONFORMANCE_HOME ??= join(tmpdir(), `flowctl-conformance-${process.pid}`);
const home = process.env.FLOWCTL_CONFORMANCE_HOME;
const packageRoot = join(home, "package");

/** The process driver with the supervisor and the control plane as they are shipped, built from the sources. */
export const fixture: DriverFixture = {
  connect: () =>
    createProcessDriver({
      packageRoot,
      version: "0.0.0-conformance",
      environment: { ...process.env, FLOWCTL_HOME: home },
      clock: systemClock,
      // Asked for its capabilities before anything is built.
      ...(existsSync(packageRoot) ? {} : { entries: processEntries(repository, { sources: true }) }),
    }),
  runsPrograms: true,
  settings: {},
  async setUp() {
    await mkdir(packageRoot, { recursive: true });
    for (const name of ["package.json", "proto", "node_modules"]) {
      await symlink(join(repository, name), join(packageRoot, name));
    }
    const build = join(repository, "scripts/build.mjs");
    await promisify(execFile)(process.execPath, [build, "--no-types", "--out", join(packageRoot, "dist")]);
  },
  async tearDown() {
    await rm(home, { recursive: true, force: true });
  },
  async leftovers(pipeline) {
    const { runId } = pipelinePaths(home, pipeline);
    const processes = markedProcesses(runId).map(({ pid }) => `process ${pid}`);
    const folders = await readdir(join(home, "pipelines")).catch(() => []);
    return [...processes, ...folders.filter((name) => name === pipeline)];
  },
  async visible({ ref, name }) {
    const folder = join(home, "pipelines");
    const records = (await readdir(folder, { recursive: true }))
      .filter((path) => path.endsWith(`${name}.json`) || path.endsWith("supervisor.json"))
      .map((path) => readFileSync(join(folder, path), "utf8"));
    const process = ["environ", "cmdline"].map((file) => readFileSync(`/proc/${ref}/${file}`, "utf8"));
    return [...records, ...process].join("\n");
  },
  async crash({ ref }) {
    process.kill(Number(ref), "SIGKILL");
  },
};

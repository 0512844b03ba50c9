import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { runWell } from "./e2e/run-program.ts";

/** Names the repository whose dist/ is built, for the files of one run of the tests. */
export const BUILT = "FLOWCTL_TEST_BUILT";
/** Names the folder for programs of tests that are bundled; see bundled-program.ts. */
export const PROGRAMS = "FLOWCTL_TEST_PROGRAMS";

const repository = resolve(import.meta.dirname, "..");
let programs: string | undefined;

/** Builds dist/, with the SDK's types, once for all files of a run of the tests. */
export async function setup(): Promise<void> {
  if (process.env[BUILT] === repository) return;
  const build = [join(repository, "scripts/build.mjs")];
  await runWell(process.execPath, build, { cwd: repository, timeoutMs: 600_000 });
  process.env[BUILT] = repository;
  // Inside the package, as its own bundles are: they look for its other files there.
  const cache = join(repository, ".cache");
  await mkdir(cache, { recursive: true });
  programs = await mkdtemp(join(cache, "test-programs-"));
  process.env[PROGRAMS] = programs;
}

/** Takes away what was made for this run alone. */
export async function teardown(): Promise<void> {
  if (programs !== undefined) await rm(programs, { recursive: true, force: true });
}

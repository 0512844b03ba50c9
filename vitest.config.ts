import { configDefaults, defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** FLOWCTL_TEST_SKIP=docker leaves out the tests that are about Docker alone; those of several drivers leave it out. */
const withoutDocker = (process.env.FLOWCTL_TEST_SKIP ?? "").split(",").includes("docker");
const dockerAlone = ["test/**/docker-*.test.ts", "test/**/flowctl-image.test.ts"];

/** Needs neither an engine nor a server, though it stands beside those that do. */
const unitBesides = "test/conformance/memory-driver.test.ts";

/** The files that take longest, the longest first. */
const LONG = [
  "conformance/component-python",
  "conformance/component",
  "e2e/rollback",
  "chaos/changes",
  "chaos/docker-engine-restart",
  "conformance/docker-driver",
  "e2e/examples",
  "e2e/cli-hanging",
  "e2e/supervision",
  "conformance/process-driver",
  "e2e/docker-supervision",
  "integration/bench",
  "e2e/cli-interrupted",
  "e2e/identity",
  "e2e/live-edits",
  "e2e/watch",
  "chaos/numbered",
  "chaos/docker-vanished",
  "e2e/tutorial",
  "e2e/cli-init",
  "e2e/secrets",
  "conformance/component-builtins",
  "e2e/cli-life",
  "e2e/desired-state",
  "e2e/dead-letters",
  "e2e/damaged-store",
  "chaos/harder-faults",
  "e2e/action",
  "chaos/full-state-disk",
  "chaos/drivers",
].map((name) => `/test/${name}.test.ts`);

/** Begins with what takes longest, so that no worker is left with it when the others are through. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification): number => {
      const at = LONG.findIndex((name) => moduleId.endsWith(name));
      return at < 0 ? LONG.length : at;
    };
    return (await super.sort(files)).toSorted((a, b) => place(a) - place(b));
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          name: "unit",
          include: ["src/**/*.test.ts", unitBesides],
          // A machine that others use as well may take long for everything.
          testTimeout: 120_000,
          // A worker that runs one file after the other imports what they share once.
          isolate: false,
          // Beside those below, which wait for programs half of the time.
          maxWorkers: 3,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "system",
          include: ["test/{integration,conformance,e2e,chaos}/**/*.test.ts"],
          exclude: [...configDefaults.exclude, unitBesides, ...(withoutDocker ? dockerAlone : [])],
          globalSetup: "test/build-once.ts",
          testTimeout: 180_000,
          hookTimeout: 300_000,
          // As above; no test of this project changes its process for those after it.
          isolate: false,
          // Those of a file that wait for a pipeline do so side by side.
          maxConcurrency: 3,
          // They wait for programs half of the time: three at once keep two processors busy; with four, programs that are given seconds were not heard in time.
          maxWorkers: 3,
          sequence: { groupOrder: 0 },
        },
      },
    ],
  },
});

import { configDefaults, defineConfig } from "vitest/config";

/** FLOWCTL_TEST_SKIP=docker leaves out the tests that are about Docker alone; those of several drivers leave it out. */
const withoutDocker = (process.env.FLOWCTL_TEST_SKIP ?? "").split(",").includes("docker");
const dockerAlone = ["test/**/docker-*.test.ts", "test/**/flowctl-image.test.ts"];

export default defineConfig({
  test: {
    // Tests of real processes mostly wait for them: two files at once keep two processors busy.
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: "unit",
          include: ["src/**/*.test.ts", "test/conformance/memory-driver.test.ts"],
          testTimeout: 120_000,
          // A worker that runs one file after the other imports what they share once.
          isolate: false,
        },
      },
      {
        test: {
          name: "system",
          include: ["test/{integration,conformance,e2e,chaos}/**/*.test.ts"],
          exclude: [
            ...configDefaults.exclude,
            "test/conformance/memory-driver.test.ts",
            ...(withoutDocker ? dockerAlone : []),
          ],
          globalSetup: "test/build-once.ts",
          testTimeout: 180_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});

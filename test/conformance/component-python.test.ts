import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { launchImage, renderReport, testComponent } from "../../src/conformance/index.ts";
import { driversUnderTest } from "../e2e/drivers-under-test.ts";

const execute = promisify(execFile);
const root = resolve(import.meta.dirname, "../..");
const unique = randomUUID().slice(0, 8);
const image = `flowctl-python-processor:test-${unique}`;
const environment = process.env;

describe.skipIf(!driversUnderTest().includes("docker"))(
  "a component in plain Python and grpcio, in a container",
  () => {
    let base = "";

    beforeAll(async () => {
      base = (await execute("bash", ["scripts/python-base-image.sh"], { cwd: root })).stdout.trim();
      const file = ["--file", "examples/python-processor/Dockerfile"];
      const argv = ["build", "--quiet", ...file, "--build-arg", `BASE=${base}`, "--tag", image, "."];
      await execute("docker", argv, { cwd: root, env: { ...environment, DOCKER_BUILDKIT: "1" } });
    });

    afterAll(async () => {
      await execute("docker", ["image", "rm", "--force", image]);
    });

    it.each<["source" | "processor" | "sink", unknown, number]>([
      ["processor", { field: "digest" }, 50],
      ["source", {}, 38],
      ["sink", {}, 25],
    ])("keeps the whole contract as a %s", async (type, config, checks) => {
      const report = await testComponent({
        launch: launchImage(image, [], {
          environment,
          namePrefix: `python-${unique}`,
          variables: { FLOWCTL_COMPONENT_TYPE: type },
        }),
        type,
        config,
        signal: AbortSignal.timeout(170_000),
      });
      expect(report.conforms, renderReport(report)).toBe(true);
      expect(report.passed, renderReport(report)).toBeGreaterThan(checks);
      const left = await execute("docker", ["ps", "--all", "--quiet", "--filter", `name=python-${unique}`]);
      expect(left.stdout).toBe("");
    });

    it("processes every event of a pipeline between built-ins, once", async () => {
      const folder = await mkdtemp(join(tmpdir(), "flowctl-python-"));
      const name = `python-${unique}`;
      const flowctl = (...args: readonly string[]) =>
        execute(process.execPath, [join(root, "dist/flowctl.js"), ...args], {
          cwd: folder,
          env: { ...environment, PYTHON_BASE: base },
          timeout: 160_000,
        });
      try {
        const override = join(folder, "override.yaml");
        await writeFile(
          override,
          `processors: { digest: { image: "${image}" } }\nsinks: { digests: { with: { path: "${join(folder, "digests.jsonl")}" } } }\n`,
        );
        const example = join(root, "examples/python-processor/pipeline.yaml");
        await flowctl("run", "--project-name", name, "--file", example, "--file", override);
        const lines = (await readFile(join(folder, "digests.jsonl"), "utf8")).trimEnd().split("\n");
        const events = lines.map((line) => JSON.parse(line) as { sequence?: number; digest: string });
        expect(events).toHaveLength(1_000);
        expect(new Set(events.map((event) => event.digest)).size).toBe(1_000);
        expect(events[0]?.digest).toMatch(/^[0-9a-f]{64}$/);
      } finally {
        await flowctl("down", name, "--driver", "docker", "--volumes").catch(() => undefined);
        await rm(folder, { recursive: true, force: true });
      }
    });
  },
);

import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { Bench } from "../../src/conformance/bench.ts";
import { launchImage, listChecks, renderReport, testComponent } from "../../src/conformance/index.ts";
import { loadProtocol } from "../../src/conformance/protocol.ts";
import { defaultTiming } from "../../src/conformance/subject.ts";
import { driversUnderTest } from "../e2e/drivers-under-test.ts";

// On a machine that others use as well everything may take long.
const testTimeout = 900_000;
vi.setConfig({ testTimeout: testTimeout + 30_000 });

const execute = promisify(execFile);
const root = resolve(import.meta.dirname, "../..");
const unique = randomUUID().slice(0, 8);
const image = `flowctl-python-processor:test-${unique}`;
const environment = process.env;

/** An upstream that ends its stream as soon as everything is acknowledged, as all do; a real one is seldom quick enough. */
const endsWithTheLastAck = `
import asyncio
from collections import deque
from inlet import Inlet

class Call:
    async def write(self, request):
        if request.HasField("credit"):
            raise asyncio.InvalidStateError("RPC already finished.")

async def main():
    inlet, woken = Inlet({}, None), asyncio.Event()
    inlet.in_flight = 1
    woken.set()
    await inlet._acknowledge(Call(), deque([[1, 10, True]]), woken)
    print("in flight:", inlet.in_flight)

asyncio.run(main())
`;

describe.skipIf(!driversUnderTest().includes("docker"))(
  "a component in plain Python and grpcio, in a container",
  () => {
    let base = "";

    /** One run of the example's pipeline, under a name of its own, with its result in a folder of its own. */
    class Run implements AsyncDisposable {
      readonly name: string;
      readonly #folder: string;
      readonly #running: Promise<unknown>;

      static async of(what: string, numbers: string): Promise<Run> {
        const folder = await mkdtemp(join(tmpdir(), "flowctl-python-"));
        const override = [
          `sources: { numbers: { with: { count: ${numbers} } } }`,
          `processors: { digest: { image: "${image}" } }`,
          `sinks: { digests: { with: { path: "${join(folder, "digests.jsonl")}" } } }`,
        ];
        await writeFile(join(folder, "override.yaml"), override.join("\n"));
        return new Run(`python-${what}-${unique}`, folder);
      }

      private constructor(name: string, folder: string) {
        this.name = name;
        this.#folder = folder;
        const example = join(root, "examples/python-processor/pipeline.yaml");
        this.#running = this.#flowctl("run", "-p", name, "-f", example, "-f", join(folder, "override.yaml"));
        // Whoever waits for it gets the failure; until then it is nobody's.
        this.#running.catch(() => undefined);
      }

      async written(): Promise<number> {
        return (await this.#lines()).length;
      }

      /** Waits for the end of the pipeline and counts its result. */
      async finished(): Promise<{ readonly events: number; readonly distinct: number }> {
        await this.#running;
        const lines = await this.#lines();
        for (const line of lines)
          expect(JSON.parse(line)).toMatchObject({ digest: expect.stringMatching(/^[0-9a-f]{64}$/) });
        return { events: lines.length, distinct: new Set(lines).size };
      }

      async [Symbol.asyncDispose](): Promise<void> {
        await this.#flowctl("down", this.name, "--driver", "docker", "--volumes").catch(() => undefined);
        await rm(this.#folder, { recursive: true, force: true });
      }

      async #lines(): Promise<string[]> {
        const text = await readFile(join(this.#folder, "digests.jsonl"), "utf8").catch(() => "");
        return text.split("\n").filter((line) => line !== "");
      }

      #flowctl(...args: readonly string[]): Promise<unknown> {
        return execute(process.execPath, [join(root, "dist/flowctl.js"), ...args], {
          env: { ...environment, PYTHON_BASE: base },
          timeout: 160_000,
          maxBuffer: 64 * 1024 * 1024,
        });
      }
    }

    beforeAll(async () => {
      base = (await execute("bash", ["scripts/python-base-image.sh"], { cwd: root })).stdout.trim();
      const file = ["--file", "examples/python-processor/Dockerfile"];
      const argv = ["build", "--quiet", ...file, "--build-arg", `BASE=${base}`, "--tag", image, "."];
      await execute("docker", argv, { cwd: root, env: { ...environment, DOCKER_BUILDKIT: "1" } });
    });

    afterAll(async () => {
      await execute("docker", ["image", "rm", "--force", image]);
    });

    it.each<["source" | "processor" | "sink", unknown, number, RegExp?]>([
      ["processor", { field: "digest" }, 79],
      ["source", {}, 62],
      // What the end of a source has a part in: the one without has shown the rest.
      ["source", { count: 12 }, 5, /^end\//],
      ["sink", {}, 43],
    ])("keeps the whole contract as a %s with %j", async (type, config, checks, only = /./) => {
      const report = await testComponent({
        launch: launchImage(image, [], {
          environment,
          namePrefix: `python-${unique}`,
          variables: { FLOWCTL_COMPONENT_TYPE: type },
        }),
        type,
        config,
        only: listChecks().flatMap(({ id }) => (only.test(id) ? [id] : [])),
        // A machine that others use as well may take long for everything.
        timing: {
          startMs: 60_000,
          settleMs: 5_000,
          stepMs: 60_000,
          slackMs: 30_000,
          graceMs: 8_000,
          pingMs: 2_500,
          certificateMs: 15_000,
        },
        signal: AbortSignal.timeout(testTimeout),
      });
      expect(report.conforms, renderReport(report)).toBe(true);
      expect(report.passed, renderReport(report)).toBeGreaterThan(checks);
      const left = await execute("docker", ["ps", "--all", "--quiet", "--filter", `name=python-${unique}`]);
      expect(left.stdout).toBe("");
    });

    it("goes on as a source, far beyond what it has ahead, while the control plane is away", async () => {
      const launch = launchImage(image, [], { environment, namePrefix: `python-${unique}` });
      const bench = new Bench(
        { launch, config: "{}", samples: [], timing: defaultTiming },
        { type: "source", productive: [], produced: 0, finite: false, features: [] },
        loadProtocol(),
        (check, explanation) => expect.unreachable(`${check}: ${explanation}`),
        AbortSignal.timeout(60_000),
      );
      try {
        await bench.launch();
        const below = bench.below({ acknowledge: true });
        await bench.arrived(below, 1);
        bench.controlPlane.stop();
        await bench.arrived(below, below.events.length + 5_000);
      } finally {
        await bench.dispose();
      }
    });

    it("is through with what it has acknowledged, also when the stream ends before it gives more credit", async () => {
      const run = ["run", "--rm", "--entrypoint", "python3", image, "-c", endsWithTheLastAck];
      expect((await execute("docker", run)).stdout).toBe("in flight: 0\n");
    });

    it("says what is missing when it is run by hand, or by a Python without its modules", async () => {
      const asked = ["run", "--rm", "--env", "FLOWCTL_CONTROL_PLANE=127.0.0.1:1", "--entrypoint", "python3", image];
      await expect(execute("docker", ["run", "--rm", image])).rejects.toMatchObject({
        stderr: expect.stringMatching(/^FLOWCTL_CONTROL_PLANE is not set: .*\n$/),
      });
      // -S: without the folders of packages.
      await expect(execute("docker", [...asked, "-S", "/app/main.py"])).rejects.toMatchObject({
        stderr: expect.stringMatching(/^\S*python3\S* lacks the module grpc: .*\n$/),
      });
    });

    it("processes every event of a pipeline between built-ins, once", async () => {
      await using run = await Run.of("whole", "1000, rate: unlimited");
      expect(await run.finished()).toEqual({ events: 1_000, distinct: 1_000 });
    });

    // Only root may end a process of a container from outside, as a crash does.
    it.skipIf(process.getuid?.() !== 0)("loses no event of a pipeline when it is killed in the middle", async () => {
      await using run = await Run.of("killed", "8000, rate: 2000");
      await expect.poll(() => run.written(), { timeout: 60_000 }).toBeGreaterThan(100);
      const { stdout } = await execute("docker", ["inspect", "--format", "{{.State.Pid}}", `${run.name}-digest-1`]);
      process.kill(Number(stdout), "SIGKILL");
      expect(await run.finished()).toEqual({ events: 8_000, distinct: 8_000 });
    });
  },
);

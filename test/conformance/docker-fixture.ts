import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { createDockerDriver } from "../../src/drivers/docker/driver.ts";
import { connectEngine } from "../../src/drivers/docker/engine/engine.ts";
import { buildFlowctlImage } from "../../src/drivers/docker/image/flowctl-image.ts";
import type { DriverFixture } from "./driver-fixture.ts";

const run = promisify(execFile);
const repository = resolve(import.meta.dirname, "../..");
// Processes that the tests start take part in the same run; other runs on this machine do not.
process.env.FLOWCTL_CONFORMANCE_RUN ??= randomBytes(4).toString("hex");
const version = `0.0.0-conformance-${process.env.FLOWCTL_CONFORMANCE_RUN}`;
const packageRoot = join(tmpdir(), `flowctl-conformance-${process.env.FLOWCTL_CONFORMANCE_RUN}`);

/** What the driver under test is made with. */
export const installation = { packageRoot, version };

/** Every program of the image, with one and the same stand-in. */
const PROGRAMS = ["component.js", "control-plane.js", "engine-access.js"];

/** Stands for the control plane and for built-ins: answers on their ports and stays. */
const PROGRAM = `
const { createServer } = require("node:http");
for (const port of process.argv[1].includes("control-plane") ? [8080, 8081] : [process.env.FLOWCTL_HEALTH_PORT]) {
  createServer((_, answer) => answer.end("ok")).listen(port);
}
process.on("SIGTERM", () => process.exit(0));
console.error("up");
`;

/** Output of the docker command line, which the tests look through instead of through the driver. */
export async function docker(...args: string[]): Promise<string> {
  return (await run("docker", args, { maxBuffer: 64 << 20 })).stdout.trim();
}

/** The Docker driver, with a stand-in for the flowctl image that is built from this machine's Node. */
export const fixture: DriverFixture = {
  connect: () => createDockerDriver({ environment: process.env, packageRoot, version }),
  runsPrograms: true,
  settings: { image: `flowctl:${version}`, entrypoint: [] },
  async setUp() {
    await makePackage(packageRoot, PROGRAM);
    const engine = await connectEngine(process.env);
    const { signal } = new AbortController();
    await buildFlowctlImage(engine, {
      ...{
        packageRoot,
        version,
        environment: process.env,
        clientConfig: {},
        build: false,
        signal,
        progress: () => undefined,
      },
    });
  },
  async tearDown() {
    await docker("rmi", "-f", `flowctl:${version}`);
    await rm(packageRoot, { recursive: true, force: true });
  },
  async leftovers(pipeline) {
    const label = `label=dev.flowctl.pipeline=${pipeline}`;
    const lists = [
      ["ps", "-aq", "--filter", label],
      ["ps", "-aq", "--filter", `name=${pipeline}`],
      ["network", "ls", "-q", "--filter", label],
      ["network", "ls", "-q", "--filter", `name=${pipeline}`],
      ["volume", "ls", "-q", "--filter", label],
      ["volume", "ls", "-q", "--filter", `name=${pipeline}`],
    ];
    const found = await Promise.all(lists.map((list) => docker(...list)));
    return found.filter((output) => output !== "");
  },
  visible: ({ ref }) => docker("inspect", ref),
  async crash({ ref }) {
    process.kill(Number(await docker("inspect", "-f", "{{.State.Pid}}", ref)), "SIGKILL");
  },
};

/** A package folder as an installed flowctl has one, with small programs in the place of the real ones. */
export async function makePackage(root: string, program: string): Promise<void> {
  await mkdir(join(root, "dist"), { recursive: true });
  await writeFile(join(root, "package.json"), JSON.stringify({ name: "flowctl", version }));
  await writeFile(join(root, "dist", "image.json"), JSON.stringify(PROGRAMS));
  for (const name of PROGRAMS) await writeFile(join(root, "dist", name), program);
  await symlink(join(repository, "images"), join(root, "images")).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
}

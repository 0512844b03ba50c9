import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { connectEngine, dockerConfigDirectory } from "../../../src/drivers/docker/engine/engine.ts";
import { nodeBaseImage } from "../../../src/drivers/docker/image/flowctl-image-base.ts";
import { readClientConfig } from "../../../src/drivers/docker/image/registry-auth.ts";
import { runProgram, runWell } from "../../e2e/run-program.ts";
import { atExit } from "../at-exit.ts";
import type { Place } from "./place.ts";
import { root } from "./programs.ts";

const PORTS = { grpc: 9000, http: 9001 };

/** The image with Node.js that flowctl builds its own on: what the engine has, what can be pulled, or made of this machine's. */
export async function findNodeImage(): Promise<string> {
  return await nodeBaseImage(await connectEngine(process.env), {
    clientConfig: await readClientConfig(dockerConfigDirectory(process.env)),
    progress: () => undefined,
    signal: AbortSignal.timeout(120_000),
  });
}

/**
 * Containers on a bridge network of their own, restricted as the Docker driver does it. The package is mounted at the path
 * that it has here, so that the same programs run.
 */
export async function makeDockerPlace(image: string): Promise<Place> {
  const name = `flowctl-bench-${process.pid}-${randomBytes(3).toString("hex")}`;
  const containers: string[] = [];
  const forget = atExit(() => {
    if (containers.length > 0) spawnSync("docker", ["rm", "-f", "-v", ...containers]);
    spawnSync("docker", ["network", "rm", name]);
  });
  await runWell("docker", ["network", "create", name]);
  return {
    start: (id, nodeArguments, environment) => {
      const container = `${name}-${id}`;
      containers.push(container);
      return spawn("docker", dockerRun(image, name, container, id, nodeArguments, environment), {
        stdio: ["ignore", "pipe", "pipe"],
      });
    },
    addressOf: async (id, which = "grpc") => ({ bind: `0.0.0.0:${PORTS[which]}`, dial: `${id}:${PORTS[which]}` }),
    controlPlaneFromHere: async () => await published(`${name}-control-plane`),
    folderOf: (id) => `/tmp/${id}`,
    pidOf: () => undefined,
    dispose: async () => {
      if (containers.length > 0) await runProgram("docker", ["rm", "-f", "-v", ...containers]);
      await runProgram("docker", ["network", "rm", name]);
      forget();
    },
  };
}

function dockerRun(
  image: string,
  network: string,
  container: string,
  id: string,
  nodeArguments: readonly string[],
  environment: Readonly<Record<string, string>>,
): readonly string[] {
  const user = `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`;
  return [
    ...["run", "--init", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", user],
    ...["--name", container, "--network", network, "--network-alias", id],
    ...["--volume", `${root}:${root}:ro`, "--workdir", root],
    ...(id === "control-plane" ? ["--publish", `127.0.0.1::${PORTS.grpc}`] : []),
    ...Object.entries(environment).flatMap(([key, value]) => ["--env", `${key}=${value}`]),
    ...[image, "node", ...nodeArguments],
  ];
}

/** Where this machine reaches the port, once the container runs. */
async function published(container: string): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    const { code, stdout, stderr } = await runProgram("docker", ["port", container, `${PORTS.grpc}/tcp`]);
    const address = stdout.split("\n")[0]?.trim() ?? "";
    if (code === 0 && address !== "") return address;
    if (attempt === 100) throw new Error(`${container} publishes nothing: ${stderr}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

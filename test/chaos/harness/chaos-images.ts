import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { connectEngine } from "../../../src/drivers/docker/engine/engine.ts";
import { buildFlowctlImage } from "../../../src/drivers/docker/image/flowctl-image.ts";

const packageRoot = resolve(import.meta.dirname, "../../..");

export type ChaosImages = Readonly<Record<"a" | "b", string>>;

const execute = promisify(execFile);

/** Two images with the same programs, for the chaos processor: the one of flowctl itself, and one that differs by a label. */
export async function chaosImages(): Promise<ChaosImages> {
  const { version } = JSON.parse(await readFile(resolve(packageRoot, "package.json"), "utf8")) as { version: string };
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
  const name = `flowctl-chaos-${randomBytes(4).toString("hex")}`;
  const images = { a: `${name}:a`, b: `${name}:b` };
  for (const [label, image] of Object.entries(images)) {
    // Not by standard input, for which buildx leaves folders behind.
    const folder = await mkdtemp(join(tmpdir(), "flowctl-chaos-image-"));
    try {
      await writeFile(join(folder, "Dockerfile"), `FROM flowctl:${version}\nLABEL chaos=${label}\n`);
      await execute("docker", ["build", "-q", "-t", image, folder]);
    } finally {
      await rm(folder, { recursive: true });
    }
  }
  return images;
}

/** Takes both away. */
export async function removeChaosImages(images: ChaosImages): Promise<void> {
  await execute("docker", ["rmi", "-f", ...Object.values(images)]);
}

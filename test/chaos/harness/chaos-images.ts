import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { connectEngine } from "../../../src/drivers/docker/engine.ts";
import { buildFlowctlImage } from "../../../src/drivers/docker/flowctl-image.ts";

const packageRoot = resolve(import.meta.dirname, "../../..");

/** Two images with the same programs, for the chaos processor: the one of flowctl itself, and one that differs by a label. */
export async function chaosImages(): Promise<Readonly<Record<"a" | "b", string>>> {
  const { version } = JSON.parse(await readFile(resolve(packageRoot, "package.json"), "utf8")) as { version: string };
  const engine = await connectEngine(process.env);
  const { signal } = new AbortController();
  await buildFlowctlImage(engine, {
    ...{ packageRoot, version, env: process.env, clientConfig: {}, build: false, signal, progress: () => undefined },
  });
  const images = { a: "flowctl-chaos:a", b: "flowctl-chaos:b" };
  const build = promisify(execFile);
  for (const [name, image] of Object.entries(images)) {
    const dockerfile = `FROM flowctl:${version}\nLABEL chaos=${name}\n`;
    const building = build("docker", ["build", "-q", "-t", image, "-"]);
    building.child.stdin?.end(dockerfile);
    await building;
  }
  return images;
}

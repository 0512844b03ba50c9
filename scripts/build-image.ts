// Builds flowctl:<version> from the bundles in dist/. Run by scripts/image.sh.
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { connectEngine, dockerConfigDirectory } from "../src/drivers/docker/engine/engine.ts";
import { buildFlowctlImage } from "../src/drivers/docker/image/flowctl-image.ts";
import { readImageFiles } from "../src/drivers/docker/image/flowctl-image-package.ts";
import { inspectImage } from "../src/drivers/docker/image/images.ts";
import { readClientConfig } from "../src/drivers/docker/image/registry-auth.ts";

const packageRoot = resolve(import.meta.dirname, "..");
const { version } = JSON.parse(await readFile(resolve(packageRoot, "package.json"), "utf8")) as { version: string };
const { signal } = new AbortController();
const engine = await connectEngine(process.env);
const image = await buildFlowctlImage(engine, {
  packageRoot,
  version,
  environment: process.env,
  clientConfig: await readClientConfig(dockerConfigDirectory(process.env)),
  build: false,
  signal,
  progress: ({ subject, text }) => console.error(`${subject} ${text}`),
});

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
const sizes = new Map<string, number>();
for (const { name, content } of await readImageFiles(packageRoot)) {
  const part = /^(node_modules\/(?:@[^/]+\/)?[^/]+|[^/]+)/.exec(name)?.[0] ?? name;
  sizes.set(part, (sizes.get(part) ?? 0) + content.byteLength);
}
const own = [...sizes.values()].reduce((sum, size) => sum + size, 0);
const total = (await inspectImage(engine, image.reference, signal))?.Size ?? 0;
console.log(`${image.name}  ${megabytes(total)}  ${image.reference}`);
console.log(`  base and certificates  ${megabytes(total - own)}`);
for (const [part, size] of sizes) console.log(`  ${part}  ${megabytes(size)}`);

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pack } from "tar-stream";
import { FlowctlError } from "../../../foundation/errors.ts";
import type { ProgressSink } from "../../driver.ts";
import { type Engine, engineVersion } from "../engine/engine.ts";
import { importImage, inspectImage, pullImage } from "./images.ts";
import { type DockerClientConfig, registryCredentials } from "./registry-auth.ts";

/** By the digest of its index, so that nobody can put another image in its place: Node.js 22.23.3, for several processors. */
const PUBLIC_BASE = "node:22-bookworm-slim@sha256:c3de60bf2f9dd0ac6370e6117950ff62d6e339527e7472301c9c78a017978392";
/** How long a registry may take to begin to deliver, in milliseconds. */
const PULL_START_MS = 5_000;
const OLDEST_NODE = 20;

export interface BaseOptions {
  /** A base image that the user insists on. */
  readonly wanted?: string;
  readonly clientConfig: DockerClientConfig;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
}

/**
 * Finds an image with Node to build on: the one that is asked for, a Node image that the engine has, one that was made
 * before, a public one, or one made of this machine's own Node. Returns its reference. Throws `docker/no-base-image`.
 */
export async function nodeBaseImage(engine: Engine, options: BaseOptions): Promise<string> {
  const { wanted, clientConfig, progress, signal } = options;
  if (wanted !== undefined) {
    if ((await inspectImage(engine, wanted, signal)) === undefined) {
      const credentials = await registryCredentials(clientConfig, wanted, signal);
      await pullImage(engine, wanted, credentials, progress, signal);
    }
    return wanted;
  }
  const local = await localNodeImage(engine, signal);
  if (local !== undefined) return local;
  const host = await hostBase(engine, signal);
  if (host !== undefined && (await inspectImage(engine, host.reference, signal)) !== undefined) return host.reference;
  if (await pullPublicBase(engine, options)) return PUBLIC_BASE;
  if (host === undefined) {
    throw new FlowctlError({
      code: "docker/no-base-image",
      kind: "unavailable",
      message: `cannot pull ${PUBLIC_BASE}, and the Node.js of this machine does not run on the engine`,
      fix: "set FLOWCTL_BASE_IMAGE to a Node.js image that the engine can pull",
    });
  }
  progress({ subject: `image/${host.reference}`, status: "working", text: "Importing Node.js from this machine" });
  await importHostBase(engine, host, signal);
  progress({ subject: `image/${host.reference}`, status: "done", text: "Imported" });
  return host.reference;
}

async function localNodeImage(engine: Engine, signal: AbortSignal): Promise<string | undefined> {
  const images = await engine.call("list images", signal, (docker) =>
    docker.listImages({ filters: { reference: ["node"] }, abortSignal: signal } as object),
  );
  const rank = (tag: string): number => Number(!tag.includes("slim")) + Number(tag.includes("alpine"));
  return images
    .flatMap((image) => image.RepoTags ?? [])
    .filter((tag) => Number(/^node:(\d+)/.exec(tag)?.[1] ?? 0) >= OLDEST_NODE)
    .sort((a, b) => rank(a) - rank(b))[0];
}

async function pullPublicBase(engine: Engine, { clientConfig, progress, signal }: BaseOptions): Promise<boolean> {
  const slow = new AbortController();
  const timer = setTimeout(() => slow.abort(), PULL_START_MS);
  try {
    const credentials = await registryCredentials(clientConfig, PUBLIC_BASE, signal);
    const report: ProgressSink = (event) => {
      if (event.fraction !== undefined) clearTimeout(timer);
      // That no registry answers is expected here, and not a failure to show.
      if (event.status !== "failed") progress(event);
    };
    await pullImage(engine, PUBLIC_BASE, credentials, report, AbortSignal.any([signal, slow.signal]));
    return true;
  } catch (error) {
    if (signal.aborted || !(error instanceof FlowctlError)) throw error;
    progress({ subject: `image/${PUBLIC_BASE}`, status: "done", text: "Unreachable" });
    return false;
  } finally {
    clearTimeout(timer);
  }
}

interface HostBase {
  readonly reference: string;
  readonly libraries: readonly string[];
}

/** This machine's Node as a base, when the engine can run it: the same system and processor. */
async function hostBase(engine: Engine, signal: AbortSignal): Promise<HostBase | undefined> {
  if (process.platform !== "linux") return undefined;
  const version = await engineVersion(engine, signal);
  const processor = { x64: "amd64", arm64: "arm64" }[process.arch as string] ?? process.arch;
  if (version.Os !== "linux" || version.Arch !== processor) return undefined;
  const libraries = nodeLibraries();
  const hash = createHash("sha256").update(process.version);
  for (const path of [process.execPath, ...libraries]) hash.update(`${path}\0${(await stat(path)).size}\0`);
  return { reference: `flowctl-base:node-${process.versions.node}-${hash.digest("hex").slice(0, 8)}`, libraries };
}

/** The shared libraries of the running Node, and those that the C library loads to resolve names. */
function nodeLibraries(): string[] {
  // Naming the peers of open connections can take seconds, and nobody wants to know them here.
  (process.report as { excludeNetwork?: boolean }).excludeNetwork = true;
  const report = process.report.getReport() as unknown as { readonly sharedObjects: readonly string[] };
  const loaded = report.sharedObjects.filter((path) => path.startsWith("/") && /\.so(\.|$)/.test(path));
  const libc = loaded.find((path) => /\/libc\.so/.test(path));
  const resolvers = ["libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2"].map((name) =>
    join(dirname(libc ?? "/lib/libc"), name),
  );
  return [...new Set([...loaded, ...resolvers.filter((path) => existsSync(path))])].sort();
}

const ROOT_FILES: Readonly<Record<string, string>> = {
  "etc/passwd": "root:x:0:0:root:/root:/sbin/nologin\nflowctl:x:10001:10001:flowctl:/var/lib/flowctl:/sbin/nologin\n",
  "etc/group": "root:x:0:\nflowctl:x:10001:\n",
  "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
};

async function importHostBase(engine: Engine, base: HostBase, signal: AbortSignal): Promise<void> {
  const archive = pack();
  const write = async (): Promise<void> => {
    for (const name of ["etc/", "root/", "usr/", "usr/local/", "usr/local/bin/", "var/", "var/lib/"]) {
      archive.entry({ name, type: "directory", mode: 0o755 });
    }
    archive.entry({ name: "tmp/", type: "directory", mode: 0o1777 });
    for (const [name, text] of Object.entries(ROOT_FILES)) archive.entry({ name, mode: 0o644 }, text);
    archive.entry({ name: "usr/local/bin/node", mode: 0o755 }, await readFile(process.execPath));
    for (const path of base.libraries) archive.entry({ name: path.slice(1), mode: 0o755 }, await readFile(path));
    archive.finalize();
  };
  const colon = base.reference.indexOf(":");
  const name = { repo: base.reference.slice(0, colon), tag: base.reference.slice(colon + 1) };
  const changes = ["ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 'CMD ["node"]'];
  const [imported, written] = await Promise.allSettled([
    importImage(engine, archive as unknown as NodeJS.ReadableStream, name, changes, signal),
    write().catch((error: unknown) => {
      archive.destroy(error as Error);
      throw error;
    }),
  ]);
  for (const outcome of [written, imported]) if (outcome.status === "rejected") throw outcome.reason;
}

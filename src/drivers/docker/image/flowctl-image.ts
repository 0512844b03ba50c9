import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import { pack } from "tar-stream";
import type { ProgressSink } from "../../driver.ts";
import { runBuild } from "../build/build.ts";
import type { ImageFacts } from "../container/container-spec.ts";
import { type Engine, unlessCode } from "../engine/engine.ts";
import type { Installation } from "../installation.ts";
import { LABEL } from "../resources/labels.ts";
import { nodeBaseImage } from "./flowctl-image-base.ts";
import { hashFiles, type ImageFile, readImageFiles } from "./flowctl-image-package.ts";
import { imageFacts, inspectImage, pullImage } from "./images.ts";
import { type DockerClientConfig, registryCredentials } from "./registry-auth.ts";

export interface FlowctlImageOptions extends Installation {
  readonly clientConfig: DockerClientConfig;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
  /** Build even when the image is up to date. */
  readonly build: boolean;
  /** How long a superseded image is kept, in milliseconds: another flowctl may be about to use it. Default 10 min. */
  readonly keepSupersededMs?: number;
}

/**
 * Makes the flowctl image ready: the one that `FLOWCTL_IMAGE` names, pulled when it is not there, or else
 * `flowctl:<version>`, built on the spot from the installed package whenever what is in the package has changed.
 */
export async function ensureFlowctlImage(engine: Engine, options: FlowctlImageOptions): Promise<ImageFacts> {
  const { signal, progress, clientConfig } = options;
  const named = options.environment.FLOWCTL_IMAGE;
  if (named) {
    const present = await inspectImage(engine, named, signal);
    if (present !== undefined) return imageFacts(named, present);
    try {
      await pullImage(engine, named, await registryCredentials(clientConfig, named, signal), progress, signal);
      return imageFacts(named, await inspectImage(engine, named, signal));
    } catch (error) {
      if (signal.aborted) throw error;
      progress({ subject: `image/${named}`, status: "done", text: "Not in any registry; building locally" });
    }
  }
  return buildFlowctlImage(engine, options);
}

/** The image as it is now, without building or pulling anything. */
export async function currentFlowctlImage(
  engine: Engine,
  options: Pick<FlowctlImageOptions, "environment" | "version" | "signal">,
): Promise<ImageFacts> {
  const reference = options.environment.FLOWCTL_IMAGE || `flowctl:${options.version}`;
  const present = await inspectImage(engine, reference, options.signal);
  return { ...imageFacts(reference, present), ...(present === undefined ? { user: "10001:10001" } : {}) };
}

/** Builds `flowctl:<version>` when it is missing, or made of other content than the package has now. */
export async function buildFlowctlImage(engine: Engine, options: FlowctlImageOptions): Promise<ImageFacts> {
  const { packageRoot, version, signal, progress, environment } = options;
  const reference = `flowctl:${version}`;
  const [files, dockerfile, certificates] = await Promise.all([
    readImageFiles(packageRoot),
    readFile(join(packageRoot, "images", "flowctl", "Dockerfile"), "utf8"),
    trustedCertificates(environment),
  ]);
  const content = createHash("sha256")
    .update([hashFiles(files), dockerfile, certificates, environment.FLOWCTL_BASE_IMAGE ?? ""].join("\0"))
    .digest("hex")
    .slice(0, 16);
  const present = await inspectImage(engine, reference, signal);
  if (!options.build && present?.Config.Labels?.[LABEL.content] === content) return imageFacts(reference, present);
  const subject = `image/${reference}`;
  progress({ subject, status: "working", text: "Building" });
  const base = await nodeBaseImage(engine, {
    ...(environment.FLOWCTL_BASE_IMAGE ? { wanted: environment.FLOWCTL_BASE_IMAGE } : {}),
    clientConfig: options.clientConfig,
    progress,
    signal,
  });
  const labels = { [LABEL.content]: content, [LABEL.version]: version, "org.opencontainers.image.title": "flowctl" };
  const id = await runBuild(engine, buildContext(files, dockerfile, certificates), {
    tags: [reference],
    args: { BASE: base },
    labels,
    subject,
    progress,
    signal,
  });
  await removeSuperseded(engine, options.keepSupersededMs ?? 10 * 60_000, signal);
  progress({ subject, status: "done", text: `Built on ${base}` });
  return imageFacts(reference, await inspectImage(engine, id ?? reference, signal));
}

/** Older builds are of no use, unless containers or tags still hold on to them: those stay. */
async function removeSuperseded(engine: Engine, keepMs: number, signal: AbortSignal): Promise<void> {
  const filters = { dangling: ["true"], label: [LABEL.content] };
  const images = await engine.call("list images", signal, (docker) =>
    docker.listImages({ filters, abortSignal: signal } as object),
  );
  for (const { Id, Created } of images) {
    if (Date.now() - Created * 1000 < keepMs) continue;
    const removal = engine.call(`remove image ${Id}`, signal, (docker) => docker.getImage(Id).remove());
    await unlessCode(removal, "docker/conflict", "docker/not-found");
  }
}

function buildContext(files: readonly ImageFile[], dockerfile: string, certificates: string): NodeJS.ReadableStream {
  const archive = pack();
  // A fixed time makes equal content give equal layers.
  const mtime = new Date(0);
  const folders = new Set<string>();
  const folder = (name: string): void => {
    const parent = name.slice(0, name.lastIndexOf("/", name.length - 2) + 1);
    if (parent !== "" && !folders.has(parent)) folder(parent);
    if (!folders.has(name)) archive.entry({ name, type: "directory", mode: 0o755, mtime });
    folders.add(name);
  };
  archive.entry({ name: "Dockerfile", mode: 0o644, mtime }, dockerfile);
  folder("data/state/");
  folder("certs/");
  archive.entry({ name: "certs/ca-certificates.crt", mode: 0o644, mtime }, certificates);
  for (const { name, content, executable } of files) {
    const path = `package/${name}`;
    folder(path.slice(0, path.lastIndexOf("/") + 1));
    archive.entry({ name: path, mode: executable ? 0o755 : 0o644, mtime }, content);
  }
  archive.finalize();
  return archive as unknown as NodeJS.ReadableStream;
}

const BUNDLES = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/**
 * Certificates that this machine trusts, so that containers reach what it reaches, through its own authority too, and those of
 * Node.js, which programs of this machine trust as well.
 */
async function trustedCertificates(environment: Readonly<Record<string, string | undefined>>): Promise<string> {
  const paths = [...BUNDLES, environment.NODE_EXTRA_CA_CERTS ?? ""].filter((path) => path !== "");
  const texts = await Promise.all(paths.map((path) => readFile(path, "utf8").catch(() => "")));
  const certificates = [...texts, ...rootCertificates].flatMap((text) => text.match(CERTIFICATE) ?? []);
  return `${[...new Set(certificates)].join("\n")}\n`;
}

const CERTIFICATE = /-----BEGIN (?:TRUSTED )?CERTIFICATE-----[^-]*-----END (?:TRUSTED )?CERTIFICATE-----/g;

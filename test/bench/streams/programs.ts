import { rmSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { build } from "esbuild";
import { atExit } from "../at-exit.ts";

export const root = resolve(import.meta.dirname, "../../..");

/** What speaks over the wire: flowctl, or one of the baselines. */
export type Program = "flowctl" | "loader" | "grpc" | "http2" | "tcp" | "broker";
const ALL: readonly Program[] = ["flowctl", "loader", "grpc", "http2", "tcp", "broker"];

/** Bundled programs, as components are shipped. */
export class Programs {
  private readonly folder: string;
  private readonly forget: () => void;

  private constructor(folder: string) {
    this.folder = folder;
    this.forget = atExit(() => rmSync(folder, { recursive: true, force: true }));
  }

  static async build(): Promise<Programs> {
    // Inside the package, as its own bundles are: they look for their proto files there.
    await mkdir(join(root, ".cache"), { recursive: true });
    const folder = await mkdtemp(join(root, ".cache/bench-"));
    const programs = new Programs(folder);
    await build({
      entryPoints: ALL.map((name) => join(import.meta.dirname, `parts/${name}-part.ts`)),
      outdir: folder,
      outExtension: { ".js": ".mjs" },
      bundle: true,
      platform: "node",
      target: "node20",
      format: "esm",
      banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
    });
    return programs;
  }

  /** Builds them, does the work, and removes them. */
  static async with<T>(work: (programs: Programs) => Promise<T>): Promise<T> {
    const programs = await Programs.build();
    try {
      return await work(programs);
    } finally {
      await programs.remove();
    }
  }

  pathOf(program: Program): string {
    return join(this.folder, `${program}-part.mjs`);
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
    this.forget();
  }
}

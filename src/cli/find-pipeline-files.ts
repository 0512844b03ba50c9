import { dirname, resolve } from "node:path";

/**
 * Absolute paths of the pipeline file that a command without `-f` is about and of its override, in `directory` or the nearest folder
 * above it that has one; empty when there is none.
 */
export async function findPipelineFiles(directory: string): Promise<readonly string[]> {
  const { discoverPipelineFiles } = await import("../pipeline/load-pipeline.ts");
  for (let folder = resolve(directory); ; folder = dirname(folder)) {
    const paths = await discoverPipelineFiles(folder);
    if (paths.length > 0 || folder === dirname(folder)) return paths;
  }
}

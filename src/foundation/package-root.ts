import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { FlowctlError } from "./errors.ts";

/**
 * Absolute path of the folder that holds flowctl's package.json, `proto/` and `dist/`, wherever this module was loaded
 * from: the sources, a bundle, or an installed package. Reads the file system. Throws `foundation/no-package-root` when
 * the installation is incomplete.
 */
export function packageRoot(from: string = import.meta.url): string {
  let folder = dirname(fileURLToPath(from));
  for (;;) {
    if (isPackageRoot(folder)) return folder;
    const parent = dirname(folder);
    if (parent === folder) {
      throw new FlowctlError({
        code: "foundation/no-package-root",
        kind: "internal",
        message: `flowctl's package.json was not found in any folder above ${fileURLToPath(from)}`,
        fix: "Reinstall flowctl; its files must stay together.",
      });
    }
    folder = parent;
  }
}

/** The version of the installed flowctl. Reads the file system; throws like `packageRoot`. */
export function packageVersion(): string {
  const manifest = JSON.parse(readFileSync(join(packageRoot(), "package.json"), "utf8")) as {
    readonly version: string;
  };
  return manifest.version;
}

function isPackageRoot(folder: string): boolean {
  let text: string;
  try {
    text = readFileSync(join(folder, "package.json"), "utf8");
  } catch {
    return false;
  }
  return (JSON.parse(text) as { readonly name?: unknown }).name === "flowctl";
}

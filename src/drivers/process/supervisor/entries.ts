import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** How flowctl's own programs are started, and what their code is. */
export interface ProcessEntries {
  /** argv of the supervisor. */
  readonly supervisor: readonly string[];
  /** argv of a built-in component, without its name. */
  readonly component: readonly string[];
  /** Changes when the code of the supervisor does. */
  readonly supervisorCode: string;
  /** Changes when the code of the built-ins does. */
  readonly componentCode: string;
}

/**
 * The programs of an installed or built package, by the folder of its package.json. In a checkout that was not built,
 * or with `sources`, the TypeScript files are run as they are, by tsx.
 */
export function processEntries(packageRoot: string, options: { readonly sources?: boolean } = {}): ProcessEntries {
  const built = (name: string): string => join(packageRoot, "dist", `${name}.js`);
  const source = (name: string): string => join(packageRoot, "src", "main", `${name}.ts`);
  const bySource = options.sources ?? !existsSync(built("supervisor"));
  const argv = (name: string): readonly string[] => {
    if (!bySource) return [process.execPath, built(name)];
    const loader = pathToFileURL(createRequire(join(packageRoot, "package.json")).resolve("tsx")).href;
    return [process.execPath, "--import", loader, source(name)];
  };
  const code = (name: string): string => contentHash(bySource ? source(name) : built(name));
  return {
    supervisor: argv("supervisor"),
    component: argv("component"),
    supervisorCode: code("supervisor"),
    componentCode: code("component"),
  };
}

/** What starts a program names its bundle by content, and so stands for it. */
function contentHash(file: string): string {
  if (!existsSync(file)) return "";
  return createHash("sha256").update(readFileSync(file)).digest("hex").slice(0, 16);
}

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fakeCatalog } from "./catalog.fake.ts";
import type { LoadOptions } from "./load-pipeline.ts";
import type { DriverName } from "./pipeline.ts";

/** Folder of the corpus. */
export const corpus = fileURLToPath(new URL("../../test/corpus", import.meta.url));

/** One file of the corpus and how it is to be loaded. */
export interface CorpusCase {
  readonly name: string;
  readonly path: string;
  readonly options: LoadOptions;
}

/**
 * The files of `broken` or `valid`. Comments at the top of a file say what goes with it: `# files:` further files,
 * `# env:`, `# profiles:` and `# driver:`.
 */
export function corpusCases(kind: "broken" | "valid"): readonly CorpusCase[] {
  const folder = join(corpus, kind);
  return readdirSync(folder)
    .filter((name) => name.endsWith(".yaml"))
    .sort()
    .map((name) => {
      const path = join(folder, name);
      const text = readFileSync(path, "utf8");
      const words = (directive: string) => new RegExp(`^# ${directive}: (.*)$`, "m").exec(text)?.[1]?.split(" ") ?? [];
      const driver = words("driver")[0] as DriverName | undefined;
      const env = Object.fromEntries(words("env").map((word) => word.split(/=(.*)/s, 2)));
      return {
        name,
        path,
        options: {
          files: [path, ...words("files").map((file) => join(folder, file))],
          env: { HOME: "/home/user", USER_NAME: "ada", DB_PASSWORD: "hunter2", ...env },
          profiles: words("profiles"),
          catalog: fakeCatalog,
          driver,
        },
      };
    });
}

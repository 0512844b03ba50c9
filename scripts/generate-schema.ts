import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { builtinCatalog } from "../src/components/catalog.ts";
import { pipelineJsonSchema } from "../src/pipeline/schema/json-schema.ts";

// Writes schema/pipeline.schema.json; with --check it only says whether the file is up to date, and fails if not.
const path = fileURLToPath(new URL("../schema/pipeline.schema.json", import.meta.url));
const wanted = `${JSON.stringify(pipelineJsonSchema(builtinCatalog), null, 2)}\n`;
if (process.argv.includes("--check")) {
  const present = await readFile(path, "utf8").catch(() => "");
  if (present !== wanted) {
    console.error("schema/pipeline.schema.json is stale: run `npx tsx scripts/generate-schema.ts`");
    process.exitCode = 1;
  }
} else {
  await writeFile(path, wanted);
}

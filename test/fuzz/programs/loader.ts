import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pipelinePaths } from "../../../src/drivers/process/home/paths.ts";
import { fakeCatalog } from "../../../src/pipeline/catalog.fake.ts";
import { corpus, corpusCases } from "../../../src/pipeline/corpus.fake.ts";
import { loadPipeline } from "../../../src/pipeline/load-pipeline.ts";
import type { Pipeline } from "../../../src/pipeline/pipeline.ts";
import { renderConfig } from "../../../src/pipeline/render/render-config.ts";
import { renderProblems } from "../../../src/pipeline/render/render-problems.ts";
import { pipelineText } from "../generators/pipeline-texts.ts";
import { inputOf } from "../inputs.ts";

/** Longer than this no file may take, in milliseconds; a busy machine may need a multiple of what it takes otherwise. */
const MOST_MS = 8_000;

export interface LoaderAnswer {
  /** What was wrong with the first input with which something was. */
  readonly wrong: string | undefined;
}

// Loads pipeline files, in a program of its own: that one hangs or takes all memory is seen from outside.
const seeds = [...corpusCases("valid"), ...corpusCases("broken")].map(({ path }) => readFileSync(path, "utf8"));
const env = { HOME: "/home/user", USER_NAME: "ada", DB_PASSWORD: "hunter2" };

async function load(text: string): Promise<void> {
  const options = { files: ["-"], directory: join(corpus, "valid"), env, catalog: fakeCatalog };
  const result = await loadPipeline({ ...options, stdin: text });
  const problems = result.ok ? result.warnings : result.problems;
  renderProblems(problems, { texts: result.texts });
  if (!result.ok) {
    if (!problems.some(({ severity }) => severity === "error")) throw new Error("refused without an error");
    return;
  }
  checkNames(result.pipeline);
  const again = await loadPipeline({ ...options, stdin: renderConfig(result.pipeline) });
  if (!again.ok) throw new Error(`what it resolves to does not load: ${again.problems[0]?.message}`);
}

/** What becomes a path, a host name or an argument of somebody's is nothing else. */
function checkNames(pipeline: Pipeline): void {
  // Throws for a name that would lead out of the folder.
  pipelinePaths("/home/user/.flowctl", pipeline.name);
  for (const { id, image } of [...pipeline.components, ...pipeline.services]) {
    if (!/^[a-z0-9][a-z0-9_-]{0,62}$/.test(id)) throw new Error(`the id ${JSON.stringify(id)} was taken`);
    if (image !== undefined && !/^(?:[\w[]|sha256:)[\w.:/@[\]-]*$/.test(image))
      throw new Error(`the image ${JSON.stringify(image)} was taken`);
  }
}

process.on("message", async ({ id, question }: { readonly id: number; readonly question: string }) => {
  if (question === "holdings") return;
  const { seed, numbers } = JSON.parse(question) as { readonly seed: number; readonly numbers: readonly number[] };
  let wrong: string | undefined;
  for (const number of numbers) {
    const began = performance.now();
    try {
      await load(pipelineText(seeds, inputOf(seed, number).random));
    } catch (error) {
      wrong ??= `input ${number}: ${error instanceof Error ? error.stack : String(error)}`;
    }
    const took = performance.now() - began;
    if (took > MOST_MS) wrong ??= `input ${number} took ${Math.round(took)} ms`;
  }
  const answer: LoaderAnswer = { wrong };
  process.send?.({ id, answer });
});
// Nothing else keeps it running.
process.channel?.ref();
process.send?.({ id: 0, answer: true });

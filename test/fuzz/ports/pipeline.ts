import { fileURLToPath } from "node:url";
import { bundledProgram } from "../../bundled-program.ts";
import type { Attack, Port } from "../port.ts";
import type { LoaderAnswer } from "../programs/loader.ts";
import { Target } from "../target.ts";

const program = fileURLToPath(new URL("../programs/loader.ts", import.meta.url));
/** For a whole batch, in milliseconds: what hangs does so for longer. */
const PATIENCE_MS = 60_000;

/** Pipeline files. Whatever they hold, the answer is a pipeline whose names are harmless, or a report. */
export const pipelinePort: Port = { batch: 250, growthMiB: 64, residentMiB: 600, open };

async function open(): Promise<Attack> {
  const target = new Target(bundledProgram(program), {});
  await target.ready();
  return {
    target,
    async send(inputs) {
      const [first] = inputs;
      if (first === undefined) return;
      const question = JSON.stringify({ seed: first.seed, numbers: inputs.map(({ number }) => number) });
      const answer = await target.ask<LoaderAnswer>(question, PATIENCE_MS);
      if (answer.wrong !== undefined) throw new Error(answer.wrong);
    },
    check: async () => undefined,
    finish: async () => undefined,
    [Symbol.asyncDispose]: () => target[Symbol.asyncDispose](),
  };
}

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { runWell } from "../e2e/run-program.ts";
import { chainPipeline } from "./chain-pipeline.ts";
import type { Row } from "./results-table.ts";
import { interleave, timed } from "./samples.ts";
import { flowctl, makeWorkplace } from "./workplace.ts";

/** `flowctl validate` of a small and a larger file, and `flowctl --version`, beside Node.js that does nothing. */
export async function measureValidate(rounds: number): Promise<readonly Row[]> {
  const place = makeWorkplace("validate");
  try {
    const small = join(place.folder, "small.yaml");
    const large = join(place.folder, "large.yaml");
    writeFileSync(small, chainPipeline("small", 3));
    writeFileSync(large, chainPipeline("large", 100));
    const node = (...args: string[]) =>
      timed(() => runWell(process.execPath, args, { cwd: place.folder, env: place.env }));
    const [three, hundred, version, nothing] = await interleave(
      [
        { name: "flowctl validate, 3 components", run: () => node(flowctl, "validate", "-f", small) },
        { name: "flowctl validate, 100 components", run: () => node(flowctl, "validate", "-f", large) },
        { name: "flowctl --version", run: () => node(flowctl, "--version") },
        { name: "node -e 0", run: () => node("-e", "0") },
      ],
      rounds,
    );
    return [three!, hundred!, version!].map((measured) => ({
      what: "command",
      unit: "ms",
      measured,
      baseline: nothing!,
    }));
  } finally {
    place.dispose();
  }
}

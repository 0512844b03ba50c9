// Compares this flowctl with another version of it, and fails when this one is slower than the limits allow:
//   npm run bench -- --against <ref> [--rounds N] [--events N]
// `last-release` is the newest tag v*.*.* before this commit; where there is none yet, there is nothing to compare with.
import { parseArgs } from "node:util";
import { removeNodeSettings } from "../node-settings.ts";
import { clearlyMissed, renderResults } from "../results-table.ts";
import { compare } from "./measure.ts";
import { commitOf, here, lastRelease, withVersion } from "./version.ts";

const { values } = parseArgs({
  options: {
    against: { type: "string", default: "last-release" },
    rounds: { type: "string", default: "7" },
    events: { type: "string", default: "2000000" },
  },
});
const [rounds, count] = [Number(values.rounds), Number(values.events)];
if (!(Number.isInteger(rounds) && rounds > 0 && Number.isInteger(count) && count >= 1_000))
  throw new Error("--rounds is an integer from 1, --events one from 1000");

removeNodeSettings(process.env);
// The first one lets everybody undo what would be left behind.
const interrupted = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => interrupted.abort());

const ref = values.against === "last-release" ? await lastRelease() : values.against;
if (ref === undefined) console.log("Nothing to compare with: there is no release yet (no tag v*.*.*).");
else {
  await against(ref).catch((error: unknown) => {
    if (!interrupted.signal.aborted) throw error;
    console.error("interrupted");
    process.exitCode = 130;
  });
}

async function against(ref: string): Promise<void> {
  const commit = await commitOf(ref);
  if (commit === undefined) throw new Error(`${ref} names no commit of this repository`);
  console.error(`building ${ref} (${commit}), to compare with`);
  await withVersion(ref, async (other) => {
    console.error(`measuring ${rounds} rounds after one that warms up`);
    const rows = await compare([here, other], { rounds, count, signal: interrupted.signal });
    console.log(`\n${renderResults(rows)}\n`);
    const slower = rows.filter(clearlyMissed);
    if (slower.length === 0) {
      console.log(`Not slower than ${ref} (${commit}).`);
      return;
    }
    process.exitCode = 1;
    console.log(`Slower than ${ref} (${commit}): ${slower.map(({ what }) => what).join(", ")}.`);
  });
}

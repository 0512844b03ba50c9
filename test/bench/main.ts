// Measures what the README and the changelog claim, each beside its baseline in the same run:
//   npm run bench [-- startup-process startup-docker validate control-plane throughput latency] [--rounds N]
import { cpus, release } from "node:os";
import { parseArgs } from "node:util";
import { runProgram } from "../e2e/run-program.ts";
import { measureControlPlane } from "./control-plane-memory.ts";
import { type Row, renderResults } from "./results-table.ts";
import { measureStartup } from "./startup.ts";
import { measureLatency, measureThroughput } from "./streams/throughput.ts";
import { measureValidate } from "./validate.ts";

const { values, positionals } = parseArgs({ options: { rounds: { type: "string" } }, allowPositionals: true });

const benches: Record<string, (rounds: number | undefined) => Promise<readonly Row[]>> = {
  validate: (rounds = 15) => measureValidate(rounds),
  "startup-process": (rounds = 5) => measureStartup("process", rounds),
  "startup-docker": (rounds = 5) => measureStartup("docker", rounds),
  throughput: (rounds = 5) => measureThroughput(rounds),
  latency: (rounds = 3) => measureLatency(rounds),
  "control-plane": (rounds = 3) => measureControlPlane(rounds),
};

const docker = await runProgram("docker", ["version", "--format", "{{.Server.Version}}"]).catch(() => undefined);
const answers = docker?.code === 0;
const asked = positionals.length > 0 ? positionals : Object.keys(benches);
const unknown = asked.filter((name) => benches[name] === undefined);
if (unknown.length > 0)
  throw new Error(`no such bench: ${unknown.join(", ")}; there are ${Object.keys(benches).join(", ")}`);

const rows: Row[] = [];
for (const name of asked) {
  if (name === "startup-docker" && !answers) {
    console.error("startup-docker is left out: no Docker engine answers");
    continue;
  }
  console.error(`measuring ${name}`);
  rows.push(...(await benches[name]!(values.rounds === undefined ? undefined : Number(values.rounds))));
}
console.log(
  `\nNode.js ${process.versions.node}, Linux ${release()}, ${cpus().length} × ${cpus()[0]?.model ?? "?"}, ` +
    `${answers ? `Docker ${docker.stdout.trim()}` : "no Docker"}, ${new Date().toISOString()}`,
);
console.log("Medians and ranges; contender and baseline alternate within the same run.\n");
console.log(renderResults(rows));

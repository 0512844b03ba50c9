// Measures what the README and the changelog claim, each beside its baseline in the same run:
//   npm run bench [-- <bench>…] [--rounds N]        all of them, or those that are named: see `benches`
import { cpus, release } from "node:os";
import { parseArgs } from "node:util";
import { runProgram } from "../e2e/run-program.ts";
import { measureComponentStart } from "./component-start.ts";
import { measureControlPlane } from "./control-plane-memory.ts";
import { removeNodeSettings } from "./node-settings.ts";
import { type Row, renderResults } from "./results-table.ts";
import { measureStartup } from "./startup.ts";
import { measureDiskBuffers } from "./streams/disk-buffers.ts";
import { measureDockerBridge } from "./streams/docker-bridge.ts";
import { measureFanOut } from "./streams/fan-out.ts";
import { measureGuarantees } from "./streams/guarantees.ts";
import { measureLatency } from "./streams/latency.ts";
import { measureMtls } from "./streams/mtls.ts";
import { measureRenewal } from "./streams/renewal.ts";
import { measureChains, measureFanOuts, measureReplicas } from "./streams/scaling.ts";
import { measureStalledSink } from "./streams/stalled-sink.ts";
import { measureThroughput } from "./streams/throughput.ts";
import { measureValidate } from "./validate.ts";

const { values, positionals } = parseArgs({ options: { rounds: { type: "string" } }, allowPositionals: true });

const scale = 1;
const benches: Record<string, (rounds: number | undefined) => Promise<readonly Row[]>> = {
  validate: (rounds = 15) => measureValidate(rounds),
  "startup-process": (rounds = 5) => measureStartup("process", rounds),
  "startup-docker": (rounds = 5) => measureStartup("docker", rounds),
  throughput: (rounds = 5) => measureThroughput({ rounds, scale }),
  guarantees: (rounds = 5) => measureGuarantees({ rounds, scale }),
  "docker-bridge": (rounds = 5) => measureDockerBridge({ rounds, scale }),
  mtls: (rounds = 5) => measureMtls({ rounds, scale }),
  renewal: (rounds = 5) => measureRenewal({ rounds, scale }),
  "fan-out": (rounds = 5) => measureFanOut({ rounds, scale }),
  latency: (rounds = 5) => measureLatency({ rounds, scale }),
  "disk-buffers": (rounds = 5) => measureDiskBuffers({ rounds, scale }),
  "stalled-sink": (rounds = 5) => measureStalledSink(rounds),
  replicas: (rounds = 5) => measureReplicas({ rounds, scale }),
  chains: (rounds = 3) => measureChains({ rounds, scale }),
  "fan-outs": (rounds = 3) => measureFanOuts({ rounds, scale }),
  "component-start": (rounds = 7) => measureComponentStart(rounds),
  "control-plane": (rounds = 3) => measureControlPlane(rounds),
};
const needDocker = ["startup-docker", "docker-bridge"];

// Every program that is measured inherits this environment, flowctl's and the baselines' alike.
const removed = removeNodeSettings(process.env);

// Ending by `exit` lets everybody undo what would be left behind.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

const docker = await runProgram("docker", ["version", "--format", "{{.Server.Version}}"]).catch(() => undefined);
const answers = docker?.code === 0;
const asked = positionals.length > 0 ? positionals : Object.keys(benches);
const unknown = asked.filter((name) => benches[name] === undefined);
if (unknown.length > 0)
  throw new Error(`no such bench: ${unknown.join(", ")}; there are ${Object.keys(benches).join(", ")}`);
const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
if (rounds !== undefined && !(Number.isInteger(rounds) && rounds > 0))
  throw new Error(`--rounds is an integer from 1, not ${values.rounds}`);

const rows: Row[] = [];
for (const name of asked) {
  if (needDocker.includes(name) && !answers) {
    console.error(`${name} is left out: no Docker engine answers`);
    continue;
  }
  console.error(`measuring ${name}`);
  const started = performance.now();
  try {
    rows.push(...(await benches[name]!(rounds)));
    console.error(`  took ${Math.round((performance.now() - started) / 1000)} s`);
  } catch (error) {
    // What the others measure is worth as much.
    process.exitCode = 1;
    console.error(`${name} failed:`, error);
  }
}
console.log(
  `\nNode.js ${process.versions.node}, Linux ${release()}, ${cpus().length} × ${cpus()[0]?.model ?? "?"}, ` +
    `${answers ? `Docker ${docker.stdout.trim()}` : "no Docker"}, ${new Date().toISOString()}`,
);
if (removed.length > 0) console.log(`Without ${removed.join(", ")}, which the environment had set.`);
console.log(
  "Medians and ranges; contender and baseline alternate within the same run, and are compared round by round.\n",
);
console.log(renderResults(rows));

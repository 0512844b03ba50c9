import { parseArgs } from "node:util";
import { setup, teardown } from "../build-once.ts";
import { fuzz } from "./fuzz.ts";
import { type PortName, ports } from "./ports.ts";

/*
 * Hostile inputs for everything that listens: see "Hostile inputs" in CONTRIBUTING.md.
 *
 * main.ts         the command line
 * fuzz.ts         sends batches, checks after each, narrows down what fails
 * inputs.ts       from seed and number to an input
 * ports/          one file a port: what is started, what is sent, what has to hold for whoever is honest
 * generators/     what is sent: structured, and damaged from there
 * programs/       programs that are attacked, where none of flowctl's own is
 * target.ts       such a program as a process: whether it lives, and what it holds
 * http2-client.ts a client of HTTP/2 that can be wrong: that of Node.js cannot, and was seen to crash by itself
 *
 * An input is made by a generator of random numbers that is seeded by the run's seed and the input's number: a property-based
 * library shrinks values of one process, while what is shrunk here are runs against a server, by halving them.
 */
const USAGE = `npm run fuzz -- --port ${Object.keys(ports).join("|")} [--inputs N] [--seed S] [--from K] [--all]`;

const { values } = parseArgs({
  options: {
    port: { type: "string" },
    inputs: { type: "string", default: "10000" },
    seed: { type: "string" },
    from: { type: "string", default: "0" },
    all: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

async function main(): Promise<number> {
  const name = values.port as PortName | undefined;
  if (values.help || name === undefined || !Object.hasOwn(ports, name)) {
    console.log(USAGE);
    return values.help ? 0 : 2;
  }
  await setup();
  try {
    const seed = Number(values.seed ?? Math.floor(Math.random() * 1_000_000));
    const say = (line: string): void => console.log(line);
    say(`seed ${seed} on ${name}`);
    const from = Number(values.from);
    const report = await fuzz({ port: ports[name], seed, from, inputs: Number(values.inputs), all: values.all, say });
    const rate = Math.round((1_000 * report.sent) / report.ms);
    say(
      `${report.sent} inputs in ${(report.ms / 1_000).toFixed(1)} s, ${rate} a second; at most ${report.peakResidentMiB} MiB resident, ${report.grownMiB} MiB more held at the end`,
    );
    if (report.failure === undefined) return 0;
    const { failure } = report;
    const again = `npm run fuzz -- --port ${name} --seed ${seed} --from ${failure.from} --inputs ${failure.inputs}${values.all ? " --all" : ""}`;
    say(
      `failed; to see it again:\n  ${again}\n${failure.error instanceof Error ? failure.error.stack : failure.error}`,
    );
    return 1;
  } finally {
    await teardown();
  }
}

process.exitCode = await main().catch((error: unknown) => {
  console.error(error);
  return 1;
});

import { inputOf } from "./inputs.ts";
import type { Attack, Port } from "./port.ts";
import type { Holdings } from "./target.ts";

export interface FuzzOptions {
  readonly port: Port;
  readonly seed: number;
  /** Number of the first input. */
  readonly from: number;
  readonly inputs: number;
  /** Also what is not demanded yet; see `not-demanded.ts`. */
  readonly all: boolean;
  readonly say: (line: string) => void;
}

export interface FuzzFailure {
  /** The fewest inputs in a row that were found to bring it. */
  readonly from: number;
  readonly inputs: number;
  readonly error: unknown;
}

export interface FuzzReport {
  readonly sent: number;
  readonly ms: number;
  readonly peakResidentMiB: number;
  readonly grownMiB: number;
  readonly failure: FuzzFailure | undefined;
}

const MIB = 1024 * 1024;
/** Descriptors that come and go with the program's own work. */
const DESCRIPTORS_TO_SPARE = 12;
/** How long connections that were let go of may take to close, in milliseconds. */
const CLOSING_MS = 20_000;

/** Sends the inputs; where something does not hold any more, looks for the input that is to blame. */
export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  const { from, inputs } = options;
  const began = performance.now();
  const attempt = await run(options, from, inputs);
  const { sent, peakResidentMiB, grownMiB } = attempt;
  const ms = performance.now() - began;
  if (attempt.error !== undefined)
    options.say(
      `failed among ${attempt.failedInputs} inputs from ${attempt.failedFrom} on; looking for the one: ${firstLine(attempt.error)}`,
    );
  const failure = attempt.error === undefined ? undefined : await narrow(options, attempt);
  return { sent, ms, peakResidentMiB, grownMiB, failure };
}

interface Attempt {
  readonly sent: number;
  /** The batch in which it failed, or all of them when it was seen in the end only. */
  readonly failedFrom: number;
  readonly failedInputs: number;
  readonly peakResidentMiB: number;
  readonly grownMiB: number;
  readonly error: unknown;
}

async function run(options: FuzzOptions, from: number, inputs: number): Promise<Attempt> {
  const { port, seed, all, say } = options;
  await using attack = await port.open(all);
  const before = await attack.target.measure();
  let peak = before.rss;
  let at = from;
  let said = Date.now();
  const result = (error: unknown, failedFrom: number, failedInputs: number, grown = 0): Attempt => ({
    sent: at - from,
    failedFrom,
    failedInputs,
    peakResidentMiB: Math.round(peak / MIB),
    grownMiB: Math.round(grown / MIB),
    error,
  });
  while (at < from + inputs) {
    const count = Math.min(port.batch, from + inputs - at);
    try {
      await attack.send(Array.from({ length: count }, (_, index) => inputOf(seed, at + index)));
      attack.target.requireAlive();
      await attack.check();
      const { rss } = await attack.target.measure();
      peak = Math.max(peak, rss);
      if (rss > port.residentMiB * MIB)
        throw new Error(`${Math.round(rss / MIB)} MiB are resident, and ${port.residentMiB} MiB are allowed`);
    } catch (error) {
      return result(await explain(attack, error), at, count);
    }
    at += count;
    if (Date.now() - said < 10_000) continue;
    said = Date.now();
    say(`  ${at - from} of ${inputs}`);
  }
  try {
    await attack.finish();
    const after = await settled(attack, before, port);
    return result(undefined, 0, 0, after.held - before.held);
  } catch (error) {
    return result(await explain(attack, error), from, inputs);
  }
}

/** What the program holds after a pause; throws when that is more than it may. */
async function settled(attack: Attack, before: Holdings, port: Port): Promise<Holdings> {
  for (const end = Date.now() + CLOSING_MS; ; ) {
    const after = await attack.target.measure();
    const grown = Math.round((after.held - before.held) / MIB);
    const tooMuch = grown > port.growthMiB;
    const tooMany = after.descriptors > before.descriptors + DESCRIPTORS_TO_SPARE;
    if (!tooMuch && !tooMany) return after;
    if (Date.now() > end) {
      const what = `it holds ${grown} MiB (${port.growthMiB} allowed) and ${after.descriptors - before.descriptors} descriptors`;
      throw new Error(`${what} (${DESCRIPTORS_TO_SPARE} allowed) more than before`);
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** Why it failed: a crash is seen by its consequences first. */
async function explain(attack: Attack, error: unknown): Promise<unknown> {
  await attack.target.ended(500);
  try {
    attack.target.requireAlive();
  } catch (crash) {
    return crash;
  }
  return error;
}

function firstLine(error: unknown): string {
  return String(error instanceof Error ? error.message : error).split("\n", 1)[0] ?? "";
}

/** Halves what failed for as long as a half fails as well, each time with a new server. */
async function narrow(options: FuzzOptions, attempt: Attempt): Promise<FuzzFailure> {
  let { failedFrom: from, failedInputs: inputs, error } = attempt;
  const again = await run(options, from, inputs);
  // It takes what was sent before as well.
  if (again.error === undefined) return { from: options.from, inputs: from + inputs - options.from, error };
  error = again.error;
  if (again.failedInputs < inputs) [from, inputs] = [again.failedFrom, again.failedInputs];
  while (inputs > 1) {
    const half = Math.ceil(inputs / 2);
    const first = await run(options, from, half);
    if (first.error !== undefined) {
      [inputs, error] = [half, first.error];
      continue;
    }
    const second = await run(options, from + half, inputs - half);
    if (second.error === undefined) break;
    [from, inputs, error] = [from + half, inputs - half, second.error];
  }
  return { from, inputs, error };
}

import { availableParallelism } from "node:os";
import { FlowctlError } from "../foundation/errors.ts";
import type { ComponentType } from "../pipeline/pipeline.ts";
import { Bench } from "./bench.ts";
import { catalog } from "./checks/catalog.ts";
import type { Check } from "./checks/check.ts";
import { detectType, explore } from "./explore.ts";
import type { Launch } from "./launch.ts";
import { loadProtocol, type Protocol } from "./protocol.ts";
import { type CheckOutcome, type CheckResult, type ConformanceReport, summarize } from "./report.ts";
import { defaultSamples, type SampleEvent, sampleMessage } from "./sample-events.ts";
import { defaultTiming, type Facts, type Subject, type Timing } from "./subject.ts";
import { Broken, NotApplicable } from "./waiting.ts";

/** What is tested, and how. */
export interface TestComponentOptions {
  /** Starts the component: `launchCommand(["node", "main.js"])` or `launchImage("acme/enrich:1.4")`. */
  readonly launch: Launch;
  /** Left out: what the component says when it registers. */
  readonly type?: ComponentType;
  /** `with:` of the component; `{}` when left out. */
  readonly config?: unknown;
  /** What a processor or sink is fed with; a few small JSON events when left out. */
  readonly events?: readonly SampleEvent[];
  /** Only these checks and what they need. Throws `conformance/unknown-check` for an id that does not exist. */
  readonly only?: readonly string[];
  /** Runs of the component at the same time; as many as there are processors, 2 to 4, when left out. */
  readonly concurrency?: number;
  readonly timing?: Partial<Timing>;
  /** Called whenever a check begins. Cheap, never throws. */
  readonly onProgress?: (progress: ConformanceProgress) => void;
  /** Ends the test: every run of the component is killed, then `testComponent` rejects with `conformance/cancelled`. */
  readonly signal: AbortSignal;
}

export interface ConformanceProgress {
  readonly finished: number;
  readonly total: number;
  /** Title of the check that began last. */
  readonly title: string;
}

/**
 * Tests a component against the whole component contract over its real interface: starts it, over and over, with the
 * contract's environment, and plays the control plane, the upstream and the downstream around it. Takes about as many
 * seconds as there are checks. Resolves with the report whatever the component does; nothing of it is left running.
 * Rejects only when it is cancelled, or used wrongly.
 */
export async function testComponent(options: TestComponentOptions): Promise<ConformanceReport> {
  const began = performance.now();
  const protocol = loadProtocol();
  const subject: Subject = {
    launch: options.launch,
    config: JSON.stringify(options.config ?? {}),
    samples: (options.events?.length ? options.events : defaultSamples).map(sampleMessage),
    timing: { ...defaultTiming, ...options.timing },
  };
  const wanted = selectChecks(options.only);
  try {
    const type = options.type ?? (await detectType(subject, protocol, options.signal));
    const facts = await explore(type, subject, protocol, options.signal);
    const checks = wanted.filter((check) => check.types.includes(type));
    const results = await runChecks(checks, { subject, facts, protocol, options });
    return summarize(type, results, performance.now() - began);
  } catch (error) {
    if (error instanceof Broken) return summarize(undefined, neverRegistered(error), performance.now() - began);
    if (!options.signal.aborted) throw error;
    throw new FlowctlError({
      code: "conformance/cancelled",
      kind: "cancelled",
      message: "The test of the component was ended before it was finished",
      cause: error,
    });
  }
}

/** The obligations that exist, for `flowctl component test --list` and for documentation. */
export function listChecks(): readonly Pick<Check, "id" | "title" | "fix" | "types">[] {
  return catalog;
}

interface Setting {
  readonly subject: Subject;
  readonly facts: Facts;
  readonly protocol: Protocol;
  readonly options: TestComponentOptions;
}

function selectChecks(only: readonly string[] | undefined): readonly Check[] {
  if (only === undefined || only.length === 0) return catalog;
  const selected = new Set<string>();
  const select = (id: string) => {
    const check = catalog.find((one) => one.id === id);
    if (check === undefined) {
      throw new FlowctlError({
        code: "conformance/unknown-check",
        kind: "usage",
        message: `There is no check "${id}"`,
        fix: `Name some of: ${catalog.map((one) => one.id).join(", ")}`,
      });
    }
    if (selected.has(id)) return;
    selected.add(id);
    for (const need of check.needs ?? []) select(need);
  };
  for (const id of only) select(id);
  return catalog.filter((check) => selected.has(check.id));
}

/** Runs the checks, several at a time, each after those that it needs; results in the order of the catalogue. */
async function runChecks(checks: readonly Check[], setting: Setting): Promise<CheckResult[]> {
  const { options } = setting;
  const results = new Map<string, CheckResult>();
  const violations = new Map<string, string>();
  const pending = checks.filter((check) => check.run !== undefined);
  const known = new Set(pending.map((check) => check.id));
  const total = pending.length;
  const report = (title: string) => options.onProgress?.({ finished: results.size, total, title });
  const worker = async (): Promise<void> => {
    for (;;) {
      const index = pending.findIndex((check) =>
        (check.needs ?? []).every((need) => !known.has(need) || results.has(need)),
      );
      if (index < 0) {
        if (pending.length === 0) return;
        // What is left waits for a check that another worker has in hand.
        await new Promise((resolve) => setTimeout(resolve, 20));
        continue;
      }
      const [check] = pending.splice(index, 1);
      report(check!.title);
      results.set(
        check!.id,
        await runCheck(check!, setting, results, (id, text) => {
          if (!violations.has(id)) violations.set(id, text);
        }),
      );
    }
  };
  const workers = options.concurrency ?? Math.min(4, Math.max(2, availableParallelism()));
  const settled = await Promise.allSettled(Array.from({ length: workers }, worker));
  const failed = settled.find((one) => one.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  for (const check of checks) {
    const violation = violations.get(check.id);
    if (violation !== undefined && results.get(check.id)?.outcome !== "failed") {
      results.set(check.id, result(check, "failed", violation, 0));
    } else if (!results.has(check.id)) {
      results.set(check.id, skipped(check, results) ?? result(check, "passed", "", 0));
    }
  }
  return checks.map((check) => results.get(check.id)!);
}

async function runCheck(
  check: Check,
  setting: Setting,
  results: ReadonlyMap<string, CheckResult>,
  violation: (id: string, text: string) => void,
): Promise<CheckResult> {
  const skip = skipped(check, results);
  if (skip !== undefined) return skip;
  const { subject, facts, protocol, options } = setting;
  options.signal.throwIfAborted();
  const began = performance.now();
  const bench = new Bench(subject, facts, protocol, violation, options.signal);
  try {
    await check.run!(bench);
    return result(check, "passed", "", performance.now() - began);
  } catch (error) {
    const took = performance.now() - began;
    if (error instanceof NotApplicable) return result(check, "not-applicable", error.message, took);
    if (!(error instanceof Broken)) throw error;
    return { ...result(check, "failed", error.message, took), output: bench.component?.output().slice(-10) ?? [] };
  } finally {
    await bench.dispose();
  }
}

function skipped(check: Check, results: ReadonlyMap<string, CheckResult>): CheckResult | undefined {
  const need = (check.needs ?? [])
    .map((id) => results.get(id))
    .find((one) => one !== undefined && one.outcome !== "passed");
  if (need === undefined) return undefined;
  const why = need.outcome === "failed" ? `not looked at, because ${need.id} failed` : need.explanation;
  return result(check, "not-applicable", why, 0);
}

function result(check: Check, outcome: CheckOutcome, explanation: string, durationMs: number): CheckResult {
  return {
    id: check.id,
    title: check.title,
    outcome,
    explanation,
    ...(outcome === "failed" ? { fix: check.fix } : {}),
    durationMs: Math.round(durationMs),
  };
}

/** Without a registration there is nothing else to look at. */
function neverRegistered(error: Broken): CheckResult[] {
  const [first] = catalog;
  const fix = "Make it start, with the environment of the component contract, and call RegisterComponent.";
  return [{ ...result(first!, "failed", error.message, 0), fix, output: error.output }];
}

import { FlowctlError } from "../foundation/errors.ts";
import type { ComponentType } from "../pipeline/pipeline.ts";
import type { Feature } from "../protocol/features.ts";
import { catalog } from "./checks/catalog.ts";
import type { Check } from "./checks/check.ts";
import { detectType, explore } from "./explore.ts";
import type { Launch } from "./launch.ts";
import { isNeverStarted, notStarted } from "./not-started.ts";
import { loadProtocol, type Protocol } from "./protocol.ts";
import { type CheckResult, type ConformanceReport, summarize } from "./report.ts";
import { result, runChecks } from "./run-checks.ts";
import { defaultSamples, type SampleEvent, sampleMessage } from "./sample-events.ts";
import { Selection } from "./selection.ts";
import { defaultTiming, type Facts, type Subject, type Timing } from "./subject.ts";
import { Broken } from "./waiting.ts";

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
  /**
   * Only these checks and what they need. Rejects with `conformance/unknown-check` for an id that does not exist, and with
   * `conformance/nothing-to-check` when none of them concerns the component.
   */
  readonly only?: readonly string[];
  /**
   * Runs of the component at the same time; 4, or as many as there are processors, when left out. 1 for a component whose
   * runs are in each other's way.
   */
  readonly concurrency?: number;
  /** What an earlier test of the same component learned about it in a first run, which is then left out. */
  readonly facts?: Facts;
  /**
   * Everything speaks in the clear, for a component that knows nothing of certificates: the checks of identity are left out, and the report
   * says so.
   */
  readonly insecure?: boolean;
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
 * contract's environment, and plays the control plane, the upstream and the downstream around it. Takes half a minute. Resolves with the report whatever the component does; nothing of it is left running.
 * Rejects only when it is cancelled or used wrongly, and when the component cannot be started (`conformance/cannot-start`) or ends
 * before it has called anything (`conformance/ended-early`): then there is nothing to say about the contract.
 */
export async function testComponent(options: TestComponentOptions): Promise<ConformanceReport> {
  const began = performance.now();
  const protocol = loadProtocol();
  const subject = subjectOf(options);
  const selection = new Selection(options.only);
  if (options.insecure) selection.withoutIdentity();
  try {
    const type = options.type ?? (await detectType(subject, protocol, options.signal));
    selection.ofType(type);
    const facts = options.facts ?? (await explore(type, subject, protocol, options.signal));
    const results = await runChecks(selection.checks, {
      subject,
      facts,
      protocol,
      concurrency: options.concurrency,
      onBegin: (finished, total, title) => options.onProgress?.({ finished, total, title }),
      signal: options.signal,
    });
    const looked = new Set(catalog.filter((check) => check.types.includes(type)).map(({ feature }) => feature));
    const unchecked = facts.features.filter((name) => !looked.has(name as Feature));
    return summarize(type, selection.conclude(results), performance.now() - began, {
      unchecked,
      identityChecked: !options.insecure,
    });
  } catch (error) {
    if (error instanceof Broken) {
      const { type, results } = await neverRegistered(error, subject, protocol, options.signal);
      return summarize(type, results, performance.now() - began, { identityChecked: !options.insecure });
    }
    if (!options.signal.aborted) throw error;
    throw new FlowctlError({
      code: "conformance/cancelled",
      kind: "cancelled",
      message: "The test of the component was ended before it was finished",
      cause: error,
    });
  }
}

/**
 * Runs the component once and looks what it is and does, for several tests of it; see `TestComponentOptions.facts`. Rejects
 * when it does not register.
 */
export async function exploreComponent(options: TestComponentOptions): Promise<Facts> {
  const protocol = loadProtocol();
  const subject = subjectOf(options);
  const type = options.type ?? (await detectType(subject, protocol, options.signal));
  return await explore(type, subject, protocol, options.signal);
}

function subjectOf(options: TestComponentOptions): Subject {
  const events = options.events ?? [];
  const samples = events.filter(({ fails }) => !fails);
  const failing = events.find(({ fails }) => fails);
  return {
    launch: options.launch,
    config: JSON.stringify(options.config ?? {}),
    samples: (samples.length > 0 ? samples : defaultSamples).map(sampleMessage),
    ...(failing === undefined ? {} : { failing: sampleMessage(failing) }),
    insecure: options.insecure ?? false,
    timing: { ...defaultTiming, ...options.timing },
  };
}

/** The obligations that exist, for `flowctl component test --list` and for documentation. */
export function listChecks(): readonly Pick<Check, "id" | "title" | "fix" | "types">[] {
  return catalog;
}

/** Without a registration there is nothing else to look at: it is told whether certificates are the reason. */
async function neverRegistered(
  error: Broken,
  subject: Subject,
  protocol: Protocol,
  signal: AbortSignal,
): Promise<{ readonly type?: ComponentType; readonly results: CheckResult[] }> {
  if (error.earlyEnd !== undefined && isNeverStarted(error.earlyEnd)) throw notStarted(error.earlyEnd);
  const type = subject.insecure || error.hasJoined ? undefined : await typeInTheClear(subject, protocol, signal);
  if (type === undefined && error.earlyEnd !== undefined) throw notStarted(error.earlyEnd);
  const check = catalog.find(({ id }) => id === (type === undefined ? "register/identity" : "identity/joins-first"))!;
  const fix =
    type === undefined
      ? "Make it start, with the environment of the component contract, and call RegisterComponent."
      : `${check.fix} To test everything else without, give --insecure.`;
  const explanation =
    type === undefined
      ? error.message
      : "it speaks in the clear: it registers where nobody has a certificate, and did not call Join where everybody has one";
  return {
    ...(type === undefined ? {} : { type }),
    results: [{ ...result(check, "failed", explanation, 0), fix, output: error.output }],
  };
}

/** What it registers as where nobody has a certificate; undefined when it does not there, either. */
async function typeInTheClear(
  subject: Subject,
  protocol: Protocol,
  signal: AbortSignal,
): Promise<ComponentType | undefined> {
  try {
    return await detectType({ ...subject, insecure: true }, protocol, signal);
  } catch (error) {
    if (error instanceof Broken) return undefined;
    throw error;
  }
}

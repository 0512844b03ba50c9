import { availableParallelism } from "node:os";
import { Bench } from "./bench.ts";
import type { Check } from "./checks/check.ts";
import type { Protocol } from "./protocol.ts";
import type { CheckOutcome, CheckResult } from "./report.ts";
import type { Facts, Subject } from "./subject.ts";
import { Broken, NotApplicable, NotShown } from "./waiting.ts";

/** What all checks of one test have in common. */
export interface CheckSetting {
  readonly subject: Subject;
  readonly facts: Facts;
  readonly protocol: Protocol;
  /** Runs of the component at the same time; 4, or as many as there are processors, when left out. */
  readonly concurrency: number | undefined;
  /** Called whenever a check begins. */
  readonly onBegin: (finished: number, total: number, title: string) => void;
  readonly signal: AbortSignal;
}

/** Runs the checks, several at a time, each after those that it needs; results in the order of the catalogue. */
export async function runChecks(checks: readonly Check[], setting: CheckSetting): Promise<CheckResult[]> {
  return await new CheckRun(checks, setting).results();
}

class CheckRun {
  readonly #checks: readonly Check[];
  readonly #setting: CheckSetting;
  readonly #results = new Map<string, CheckResult>();
  readonly #violations = new Map<string, string>();
  /** What has not begun: single checks, and scenes. */
  readonly #pending: (readonly Check[])[];
  readonly #running: ReadonlySet<string>;
  #busy = 0;
  #wake: (() => void)[] = [];

  constructor(checks: readonly Check[], setting: CheckSetting) {
    this.#checks = checks;
    this.#setting = setting;
    const running = checks.filter((check) => check.run !== undefined);
    this.#running = new Set(running.map(({ id }) => id));
    this.#pending = units(running, setting.facts).map(inOrderOfNeeds);
  }

  async results(): Promise<CheckResult[]> {
    const { concurrency } = this.#setting;
    const serial = concurrency === 1;
    const workers = Array.from({ length: concurrency ?? Math.max(4, availableParallelism()) }, () =>
      this.#work((check) => serial || !check.idle),
    );
    const idle = serial ? [] : this.#pending.filter(([first]) => first?.idle);
    for (const _ of idle) workers.push(this.#work((check) => check.idle ?? false));
    const settled = await Promise.allSettled(workers);
    const failed = settled.find((one) => one.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    for (const check of this.#checks) this.#judge(check);
    return this.#checks.map((check) => this.#results.get(check.id)!);
  }

  /** Runs what is ready, until nothing is left that it may take. */
  async #work(mayTake: (check: Check) => boolean): Promise<void> {
    try {
      while (this.#pending.some((unit) => mayTake(unit[0]!))) {
        const index = this.#pending.findIndex((unit) => mayTake(unit[0]!) && this.#isReady(unit));
        if (index < 0 && this.#busy === 0) throw new Error("checks need each other in a circle");
        if (index >= 0) await this.#runUnit(this.#pending.splice(index, 1)[0]!);
        // What is left waits for a check that another worker has in hand.
        else await new Promise<void>((resolve) => this.#wake.push(resolve));
      }
    } catch (error) {
      this.#pending.length = 0;
      throw error;
    } finally {
      this.#wakeAll();
    }
  }

  #wakeAll(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }

  #isReady(unit: readonly Check[]): boolean {
    const own = unit.map(({ id }) => id);
    const needs = unit.flatMap((check) => check.needs ?? []);
    return needs.every((need) => own.includes(need) || !this.#running.has(need) || this.#results.has(need));
  }

  /** One after the other on the same run of the component, and on another one where that has ended or failed. */
  async #runUnit(unit: readonly Check[]): Promise<void> {
    const { subject, facts, protocol, signal, onBegin } = this.#setting;
    let bench: Bench | undefined;
    this.#busy += 1;
    try {
      for (const check of unit) {
        signal.throwIfAborted();
        onBegin(this.#results.size, this.#running.size, check.title);
        const skip = this.#skipped(check);
        if (skip === undefined) {
          bench ??= new Bench(subject, facts, protocol, (id, text) => this.#violated(id, text), signal);
          this.#results.set(check.id, await runCheck(check, bench));
          const failed = this.#results.get(check.id)?.outcome === "failed";
          if (failed || check === unit.at(-1) || !(await bench.settle())) {
            await bench.dispose();
            bench = undefined;
          }
        } else this.#results.set(check.id, skip);
        this.#wakeAll();
      }
    } finally {
      this.#busy -= 1;
      await bench?.dispose();
    }
  }

  #violated(id: string, text: string): void {
    if (!this.#violations.has(id)) this.#violations.set(id, text);
  }

  /** A violation outweighs what the check itself saw; a standing obligation without one is kept, if it was shown at all. */
  #judge(check: Check): void {
    const violation = this.#violations.get(check.id);
    if (violation !== undefined && this.#results.get(check.id)?.outcome !== "failed") {
      this.#results.set(check.id, result(check, "failed", violation, 0));
    } else if (!this.#results.has(check.id)) {
      this.#results.set(check.id, this.#skipped(check) ?? result(check, "passed", "", 0));
    }
  }

  #skipped(check: Check): CheckResult | undefined {
    const { feature } = check;
    if (feature !== undefined && !this.#setting.facts.features.includes(feature)) {
      const text = `it does not declare ${feature}: a pipeline that asks for it is refused`;
      return result(check, "not-applicable", text, 0);
    }
    const need = (check.needs ?? [])
      .map((id) => this.#results.get(id))
      .find((one) => one !== undefined && one.outcome !== "passed");
    if (need === undefined) return undefined;
    if (need.outcome === "failed") return result(check, "not-shown", `not looked at, because ${need.id} failed`, 0);
    return result(check, need.outcome, need.explanation, 0);
  }
}

/**
 * Checks of one scene together, where the first of them stands; all others alone. So are those of a source: what one check
 * acknowledges, the next does not get.
 */
function units(checks: readonly Check[], facts: Facts): (readonly Check[])[] {
  const scenes = new Map<string, Check[]>();
  return checks.flatMap((check) => {
    if (check.scene === undefined || (check.scene === "giving" && (facts.finite || facts.type === "source")))
      return [[check]];
    const known = scenes.get(check.scene);
    if (known !== undefined) {
      known.push(check);
      return [];
    }
    const unit = [check];
    scenes.set(check.scene, unit);
    return [unit];
  });
}

/** The same checks, each after those that it needs. */
function inOrderOfNeeds(unit: readonly Check[]): readonly Check[] {
  const ordered = new Set<Check>();
  const add = (check: Check): void => {
    for (const need of unit) if (check.needs?.includes(need.id)) add(need);
    ordered.add(check);
  };
  for (const check of unit) add(check);
  return [...ordered];
}

async function runCheck(check: Check, bench: Bench): Promise<CheckResult> {
  const began = performance.now();
  try {
    await check.run!(bench);
    return result(check, "passed", "", performance.now() - began);
  } catch (error) {
    const took = performance.now() - began;
    if (error instanceof NotApplicable) return result(check, "not-applicable", error.message, took);
    if (error instanceof NotShown) return result(check, "not-shown", error.message, took);
    if (!(error instanceof Broken)) throw error;
    return { ...result(check, "failed", error.message, took), output: bench.component?.output().slice(-10) ?? [] };
  }
}

/** The result of a check; the fix is added where it failed. */
export function result(check: Check, outcome: CheckOutcome, explanation: string, durationMs: number): CheckResult {
  return {
    id: check.id,
    title: check.title,
    outcome,
    explanation,
    ...(outcome === "failed" ? { fix: check.fix } : {}),
    durationMs: Math.round(durationMs),
  };
}

import type { ObservedResource } from "../../drivers/driver.ts";
import { counted } from "../../foundation/counted.ts";
import type { FlowctlError } from "../../foundation/errors.ts";
import type { ComponentRecord, InstanceRecord, PipelineRecord } from "../../protocol/records.ts";
import { parseRecord } from "../display/log-printer.ts";
import { displayedState } from "../displayed-state.ts";
import { describeMissing, missingInstances } from "../missing-instances.ts";
import { type SlowComponent, slowComponents } from "../slow-components.ts";
import { checkEngineAccess } from "./check-engine-access.ts";
import { type Finding, ok, problem, warning } from "./finding.ts";
import type { Scaling } from "./scaling.ts";
import { isUntold, UNTOLD } from "./untold-pipeline.ts";

/** What is known of one running pipeline. */
export interface PipelineFacts {
  readonly name: string;
  readonly observed: readonly ObservedResource[];
  readonly driver: string;
  /** Undefined when its control plane does not answer; `away` says so then. */
  readonly record: PipelineRecord | undefined;
  readonly away: FlowctlError;
  /** The command that makes it run as its file says. */
  readonly up: string;
  /** Of slow components: whether they can have another instance. */
  readonly scaling: ReadonlyMap<string, Scaling>;
  /** What says most in what an instance logged last; empty when it logged nothing. */
  lastLine(instanceId: string): string;
}

/** An instance that has had so long to register, in milliseconds, and has not, is worth a warning. */
const REGISTRATION = 20_000;

/**
 * Looks at a pipeline as a person would who searches for what is wrong: is its control plane there, has everything
 * registered, who is unhealthy and what did it say last, do events flow, and who holds whom up. Pure.
 */
export function checkPipeline(facts: PipelineFacts, now: number): readonly Finding[] {
  const { name, record } = facts;
  const subject = `pipeline ${name}`;
  if (record === undefined) {
    return [problem(subject, facts.away.message, facts.away.fix ?? `Start it again with \`${facts.up}\``)];
  }
  if (isUntold(record)) return [problem(subject, UNTOLD, `Tell it with \`${facts.up}\``)];
  const mute = unregistered(facts, record, now);
  const missing = missingInstances(record, facts.observed);
  const findings = [
    ...checkEngineAccess(facts.observed, facts.up, name),
    ...missing.map((one) =>
      problem(one.id, describeMissing(one, facts.driver), `Create it again with \`${facts.up}\``),
    ),
    ...mute,
    ...record.components.flatMap((component) =>
      component.instances
        .filter(({ id, state }) => state !== "starting" || !mute.some(({ subject: named }) => named === id))
        .flatMap((one) => unwell(facts, component, one)),
    ),
    ...cutOff(facts),
    ...silent(record, name),
    ...slowComponents(record)
      .filter(({ id, works }) => works || !missing.some(({ component }) => component === id))
      .map((one) => slow(facts, record, one)),
    ...(record.draining ?? [])
      .filter(({ from }) => from === "")
      .map(({ componentId, instanceId }) =>
        warning(
          instanceId || componentId,
          "was removed, and still hands on what it holds",
          "Run `flowctl up` again: it waits for that, then removes it",
        ),
      ),
  ];
  const running = facts.observed.filter(({ kind, state }) => kind === "component" && state.status === "running");
  const said = displayedState(record, new Set(running.map(({ owner }) => owner)));
  const whole = `${said}${record.reason === "" ? "" : `: ${record.reason}`}`;
  if (record.state === "failed" || record.state === "degraded") {
    return [
      problem(subject, whole, `Fix what is listed below, then \`${facts.up}\` starts again what has failed`),
      ...findings,
    ];
  }
  return [ok(subject, whole), ...findings];
}

/** Who is slow, and what its file allows to do about it; or that none of its instances works, which is said of each of them. */
function slow(facts: PipelineFacts, record: PipelineRecord, one: SlowComponent): Finding {
  const { id, holdsUp, share, waiting, works } = one;
  const blocks = `${holdsUp} was blocked by it ${Math.round(share * 100)} % of the time, ${waiting} events wait`;
  if (!works) {
    const fix = `Fix one of its instances: \`flowctl logs -p ${facts.name} ${id}\` shows their logs`;
    return warning(id, `processes nothing: no instance is running: ${blocks}`, fix);
  }
  const inputs = record.spec?.components.find((component) => component.id === id)?.inputs ?? [];
  return warning(id, `is slow: ${blocks}`, slowFix(facts, id, inputs.find(({ buffer }) => buffer === undefined)?.from));
}

/** @param from An input of it without a buffer. */
function slowFix({ name, up, scaling }: PipelineFacts, id: string, from: string | undefined): string {
  const more = scaling.get(id);
  const scale = `\`flowctl scale -p ${name} ${id}=${more?.instances}\``;
  if (from === undefined) {
    if (more === undefined || more.refusal !== undefined) {
      const why = more?.refusal === undefined ? "" : ` (${more.refusal})`;
      return `Its inputs have buffers, which are full: make ${id} itself faster${why}; \`flowctl inspect -p ${name} ${id}\` shows its settings`;
    }
    return `Give it more instances: ${scale}`;
  }
  const buffer = `\`inputs: [{ from: ${from}, buffer: { type: disk, max_events: 1000000 } }]\` in the file and \`${up}\``;
  const apart = `let it fall behind without holding ${from} up: ${buffer}`;
  if (more === undefined) return `To ${apart}`;
  if (more.refusal === undefined) return `Give it more instances: ${scale}; or ${apart}`;
  return `It cannot have ${more.instances} instances: ${more.refusal}. To ${apart}`;
}

/** Instances whose program runs and that the control plane has not heard of. */
function unregistered({ observed, name, up }: PipelineFacts, record: PipelineRecord, now: number): readonly Finding[] {
  const heard = new Set(
    record.components.flatMap(({ instances }) => instances.filter((one) => one.registeredAt > 0).map(({ id }) => id)),
  );
  return observed.flatMap(({ kind, owner, index, state }) => {
    const id = `${owner}-${index}`;
    if (kind !== "component" || state.status !== "running" || heard.has(id)) return [];
    if (now - state.startedAt < REGISTRATION) return [];
    const seconds = Math.round((now - state.startedAt) / 1000);
    const fix = `See what it does instead with \`flowctl logs ${id} -p ${name}\`, fix it, then run \`${up}\``;
    return [problem(id, `has run for ${seconds} s without registering`, fix)];
  });
}

function unwell(facts: PipelineFacts, component: ComponentRecord, instance: InstanceRecord): readonly Finding[] {
  const { id, state, reason, restarts, healthEndpoint } = instance;
  const last = facts.lastLine(id);
  const line = (parseRecord(last)?.message ?? last).trim();
  // Where it was given up, or has said why it ends, that is the reason already.
  const said = line === "" || reason.includes(line.slice(0, 100)) ? "" : `; it said last: ${line}`;
  const often = restarts > 0 ? `, restarted ${restarts} ${restarts === 1 ? "time" : "times"}` : "";
  const logs = `flowctl logs ${id} -p ${facts.name}`;
  const restart = `flowctl restart ${id} -p ${facts.name}`;
  switch (state) {
    case "failed":
      return [
        problem(id, `has failed${often}: ${reason}${said}`, `Fix the cause (\`${logs}\`), then run \`${facts.up}\``),
      ];
    case "unhealthy": {
      const health = healthEndpoint === "" ? "" : `; \`curl http://${healthEndpoint}/health\` shows its health`;
      const fix = `See \`${logs}\`${health}. It is started again by its \`restart\` policy, or now by \`${restart}\``;
      return [problem(id, `is unhealthy${often}: ${reason}${said}`, fix)];
    }
    case "degraded":
      return [warning(id, `works, but says: ${reason}`, `See \`${logs}\``)];
    case "starting":
      return reason === "" ? [] : [warning(id, `is starting${often}: ${reason}${said}`, `See \`${logs}\``)];
    default:
      return instance.metrics.eventsFailed > 0 && component.state !== "completed"
        ? [
            warning(
              id,
              `${counted(instance.metrics.eventsFailed, "event")} failed`,
              `See \`${logs}\` and \`flowctl dead-letters list -p ${facts.name}\``,
            ),
          ]
        : [];
  }
}

/** What runs and cannot reach anybody. */
function cutOff({ observed, name }: PipelineFacts): readonly Finding[] {
  return observed.flatMap(({ kind, owner, index, flaw }) => {
    if (flaw === undefined) return [];
    const id = kind === "control-plane" ? "control-plane" : `${owner}-${index}`;
    const fix = `It is given back when it is started again, by itself after 30 s or with \`flowctl restart -p ${name} ${owner}\``;
    return [problem(id, `is ${flaw}`, fix)];
  });
}

/** Components that get events and pass nothing on, which filters may do on purpose. */
function silent(record: PipelineRecord, name: string): readonly Finding[] {
  const total = (one: ComponentRecord, key: "eventsIn" | "eventsOut"): number =>
    one.instances.reduce((sum, { metrics }) => sum + metrics[key], 0);
  return record.components.flatMap((component) => {
    if (component.type !== "processor" || total(component, "eventsIn") < 100 || total(component, "eventsOut") > 0)
      return [];
    const fix = `Check its settings (\`flowctl inspect -p ${name} ${component.id}\`), and what it says (\`flowctl logs -p ${name} ${component.id}\`)`;
    return [
      warning(component.id, `has taken ${counted(total(component, "eventsIn"), "event")} and passed on none`, fix),
    ];
  });
}

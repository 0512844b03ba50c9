import type { LogLine, ObservedResource } from "../../drivers/driver.ts";
import type { ComponentRecord, InstanceRecord, PipelineRecord } from "../../protocol/records.ts";
import { slowComponents } from "../slow-components.ts";
import { type Finding, ok, problem, warning } from "./finding.ts";

/** What is known of one running pipeline. */
export interface PipelineFacts {
  readonly name: string;
  readonly observed: readonly ObservedResource[];
  /** Undefined when its control plane does not answer. */
  readonly record: PipelineRecord | undefined;
  /** The last thing that an instance logged; undefined when it logged nothing. */
  lastLine(instanceId: string): LogLine | undefined;
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
    const fix = `See \`flowctl logs control-plane -p ${name}\`, then run \`flowctl up\`, which starts it again`;
    return [problem(subject, "its control plane does not answer; events flow on without it", fix)];
  }
  const findings = [
    ...unregistered(facts, record, now),
    ...record.components.flatMap((component) => component.instances.flatMap((one) => unwell(facts, component, one))),
    ...cutOff(facts),
    ...silent(record, name),
    ...slowComponents(record).map(({ id, holdsUp, share, waiting }) =>
      warning(
        id,
        `is slow: ${holdsUp} could not send to it ${Math.round(share * 100)} % of the time, ${waiting} events wait`,
        `Make ${id} faster, give it more instances with \`flowctl scale -p ${name} ${id}=2\`, or give its input a buffer`,
      ),
    ),
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
  const whole = `${record.state}${record.reason === "" ? "" : `: ${record.reason}`}`;
  if (record.state === "failed" || record.state === "degraded") {
    return [
      problem(subject, whole, "Look at the findings below; `flowctl up` starts what has failed again"),
      ...findings,
    ];
  }
  return [ok(subject, whole), ...findings];
}

/** Instances whose program runs and that the control plane has not heard of. */
function unregistered({ observed, name }: PipelineFacts, record: PipelineRecord, now: number): readonly Finding[] {
  const heard = new Set(
    record.components.flatMap(({ instances }) => instances.filter((one) => one.registeredAt > 0).map(({ id }) => id)),
  );
  return observed.flatMap(({ kind, owner, index, state }) => {
    const id = `${owner}-${index}`;
    if (kind !== "component" || state.status !== "running" || heard.has(id)) return [];
    if (now - state.startedAt < REGISTRATION) return [];
    const seconds = Math.round((now - state.startedAt) / 1000);
    const fix = `See \`flowctl logs ${id} -p ${name}\`; try it alone with \`flowctl component test\``;
    return [problem(id, `has run for ${seconds} s without registering`, fix)];
  });
}

function unwell(facts: PipelineFacts, component: ComponentRecord, instance: InstanceRecord): readonly Finding[] {
  const { id, state, reason, restarts, healthEndpoint } = instance;
  const last = facts.lastLine(id);
  const said = last === undefined ? "" : `; it said last: ${last.text}`;
  const often = restarts > 0 ? `, restarted ${restarts} ${restarts === 1 ? "time" : "times"}` : "";
  const logs = `flowctl logs ${id} -p ${facts.name}`;
  switch (state) {
    case "failed":
      return [
        problem(id, `has failed${often}: ${reason}${said}`, `Fix the cause (\`${logs}\`), then run \`flowctl up\``),
      ];
    case "unhealthy": {
      const health = healthEndpoint === "" ? "" : `; its health is at http://${healthEndpoint}/health`;
      return [problem(id, `is unhealthy${often}: ${reason}${said}`, `See \`${logs}\`${health}`)];
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
              `${instance.metrics.eventsFailed} events have failed`,
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
    return [warning(component.id, `has taken ${total(component, "eventsIn")} events and passed on none`, fix)];
  });
}

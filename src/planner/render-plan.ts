import type { Change } from "../drivers/driver.ts";
import { isEmpty, type LiveChange, type Plan, resourceOf } from "./plan.ts";

const SIGN: Readonly<Record<Change["action"], string>> = {
  create: "+",
  replace: "~",
  start: "^",
  stop: "!",
  restart: "^",
  remove: "-",
};

/** One line a step: sign, action, resource, cause. Without colour and without a trailing line end. */
export function renderPlanText(plan: Plan): string {
  const lines: string[] = [];
  if (isEmpty(plan)) {
    // That each of them has completed need not be said of each.
    if (isOver(plan)) return `${plan.pipeline}: completed; nothing to do`;
    lines.push(`${plan.pipeline}: nothing to do`);
  } else {
    const { live = [] } = plan;
    const width = Math.max(
      ...plan.steps.map(({ change }) => resourceOf(change).key.length),
      ...live.map(({ component }) => `component/${component}`.length),
    );
    for (const { change } of plan.steps) {
      const key = resourceOf(change).key.padEnd(width);
      lines.push(`${SIGN[change.action]} ${change.action.padEnd(7)} ${key}  ${change.cause}`);
    }
    for (const { component, key, from, to, effect } of live) {
      const what = to === "added" || to === "removed" ? `${key} ${to}` : `${key}: ${from} → ${to}`;
      lines.push(`* live    ${`component/${component}`.padEnd(width)}  ${what} (${effect})`);
    }
    lines.push(summary(plan));
  }
  for (const note of plan.notes) lines.push(`  ${note}`);
  return lines.join("\n");
}

function isOver({ unchanged }: Plan): boolean {
  const components = unchanged.filter(({ kind }) => kind === "component");
  return components.length > 0 && components.every(({ state }) => state.status === "exited");
}

/** Counts by action, such as `3 to create, 1 to replace, 2 unchanged`. */
function summary(plan: Plan): string {
  const counts = new Map<string, number>();
  for (const { change } of plan.steps) counts.set(change.action, (counts.get(change.action) ?? 0) + 1);
  const parts = [...counts].map(([action, count]) => `${count} to ${action}`);
  if (plan.live !== undefined && plan.live.length > 0) parts.push(`${plan.live.length} applied live`);
  if (plan.unchanged.length > 0) parts.push(`${plan.unchanged.length} unchanged`);
  return parts.join(", ");
}

/** A plan as plain data for machines. Holds no configuration, only names, hashes and causes. */
export interface PlanDocument {
  readonly pipeline: string;
  readonly changes: readonly {
    readonly action: Change["action"];
    readonly resource: string;
    readonly cause: string;
    readonly after: readonly { readonly resource: string; readonly condition: string }[];
  }[];
  readonly live: readonly LiveChange[];
  readonly unchanged: readonly string[];
  readonly notes: readonly string[];
}

export function planDocument(plan: Plan): PlanDocument {
  return {
    pipeline: plan.pipeline,
    changes: plan.steps.map(({ change, after }) => ({
      action: change.action,
      resource: resourceOf(change).key,
      cause: change.cause,
      after: after.map(({ key, condition }) => ({ resource: key, condition })),
    })),
    live: plan.live ?? [],
    unchanged: plan.unchanged.map(({ key }) => key),
    notes: plan.notes,
  };
}

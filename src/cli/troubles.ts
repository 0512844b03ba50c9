import type { Driver, ObservedResource } from "../drivers/driver.ts";
import { TELLING_TAIL, tellingLine } from "../foundation/telling-line.ts";
import type { InstanceRecord, PipelineRecord } from "../protocol/records.ts";
import { paintState } from "./commands/ps.ts";
import { parseRecord, renderRecord } from "./display/log-printer.ts";
import type { Output } from "./display/output.ts";
import { ENGINE_ACCESS_NAME, engineAccessFix, lostEngineAccess } from "./doctor/check-engine-access.ts";
import { isUntold, UNTOLD } from "./doctor/untold-pipeline.ts";
import { describeMissing, missingInstances } from "./missing-instances.ts";
import { lastLines } from "./up/outcome.ts";

/** An instance, or the engine access of the pipeline, that is not as it should be. Plain data. */
export interface Trouble {
  readonly instance: string;
  readonly state: string;
  readonly reason: string;
  readonly restarts: number;
  /** What says most in what it logged last; empty when that cannot be told. */
  readonly lastLine: string;
  /** What to do; empty when it is being dealt with. */
  readonly fix: string;
}

/** So many are looked into; a screen holds no more. */
const MOST = 8;

/** The instances that are not well, the failed ones first, with what is known of why. */
export async function troublesOf(
  record: PipelineRecord,
  driver: Pick<Driver, "name" | "logs" | "observe">,
  signal: AbortSignal,
): Promise<readonly Trouble[]> {
  const unwell = record.components
    .flatMap(({ instances }) => instances)
    .filter(({ state, reason }) => reason !== "" && state !== "completed" && state !== "stopping")
    .sort((a, b) => Number(b.state === "failed") - Number(a.state === "failed"))
    .slice(0, MOST);
  const observed = await driver.observe(record.name, signal);
  const missing = missingInstances(record, observed).map(
    (one): Trouble => ({
      ...{ instance: one.id, state: "missing", reason: describeMissing(one, driver.name), restarts: 0, lastLine: "" },
      fix: `\`flowctl up -d -p ${record.name}\` in the pipeline's folder creates it`,
    }),
  );
  const ill = await Promise.all(
    unwell.map(async (instance) => {
      const { id, state, reason, restarts } = instance;
      const lines = await lastLines(driver, record.name, id, TELLING_TAIL, signal);
      const lastLine = tellingLine(lines.map(({ text }) => text));
      return { instance: id, state, reason, restarts, lastLine, fix: fixOf(record.name, instance) };
    }),
  );
  return [...withoutEngine(record.name, observed), ...untold(record), ...missing, ...ill].slice(0, MOST);
}

function untold(record: PipelineRecord): readonly Trouble[] {
  if (!isUntold(record)) return [];
  const fix = `Tell it with \`flowctl up -d -p ${record.name}\` in the pipeline's folder`;
  return [{ instance: "control-plane", state: "waiting", reason: UNTOLD, restarts: 0, lastLine: "", fix }];
}

/** What the control plane reaches the engine through is no instance, and stands first: without it nobody mends the others. */
function withoutEngine(pipeline: string, observed: readonly ObservedResource[]): readonly Trouble[] {
  const loss = lostEngineAccess(observed);
  if (loss === undefined) return [];
  const fix = engineAccessFix(loss, `\`flowctl up -d -p ${pipeline}\` in the pipeline's folder`, pipeline);
  return [{ instance: ENGINE_ACCESS_NAME, ...loss, restarts: 0, lastLine: "", fix }];
}

export function renderTrouble(trouble: Trouble, output: Output): readonly string[] {
  const { instance, state, reason, restarts, lastLine, fix } = trouble;
  const times = restarts === 0 ? "" : `, restarted ${restarts} ${restarts === 1 ? "time" : "times"}`;
  const lines = [`${instance} is ${paintState(state, output)}${times}: ${reason}`];
  const said = parseRecord(lastLine);
  // The supervisor has put it into the reason already where it gave up.
  const text = (said?.message ?? lastLine).trim();
  if (text !== "" && !reason.includes(text.slice(0, 100))) {
    lines.push(`  last log line  ${said === undefined ? lastLine : renderRecord(said, output.paint)}`);
  }
  if (fix !== "") lines.push(`  fix            ${fix}`);
  return lines;
}

function fixOf(pipeline: string, { id, state }: InstanceRecord): string {
  if (state === "failed") {
    return `See its logs with \`flowctl logs -p ${pipeline} ${id}\`, fix it, then \`flowctl up\` or \`flowctl start -p ${pipeline} ${id}\``;
  }
  if (state === "unhealthy")
    return `It will be restarted by its \`restart\` policy; \`flowctl events -p ${pipeline}\` shows the progress`;
  return "";
}

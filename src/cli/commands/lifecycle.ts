import type { Command } from "commander";
import type { ObservedResource, ProgressSink } from "../../drivers/driver.ts";
import { executePlan } from "../../executor/execute.ts";
import type { Plan } from "../../planner/plan.ts";
import { instanceIdOf, isEmpty } from "../../planner/plan.ts";
import { planRestart, planStart } from "../../planner/plan-lifecycle.ts";
import { planDocument } from "../../planner/render-plan.ts";
import {
  type Cli,
  type CommandContext,
  describe,
  handle,
  jsonOption,
  pipelineOptions,
  progressOption,
  quietOption,
  stopTimeoutOption,
} from "../command.ts";
import { ControlPlaneAccess } from "../control-plane-access.ts";
import { ExitCode } from "../exit-codes.ts";
import { withIds } from "../pipeline-among-ids.ts";
import type { Flags } from "../settings.ts";
import { findTarget } from "../target.ts";
import { untilNoUpBegins } from "../up/announcements.ts";
import { desiredBy } from "../up/desired-by-plan.ts";
import { PipelineOperation } from "../up/operation.ts";
import { valuesForStart } from "../up/values-for-start.ts";
import { depthsOf, windDown } from "../up/wind-down.ts";

interface LifecycleFlags extends Flags {
  readonly timeout?: number;
}

const EXIT_CODES = [ExitCode.ok, ExitCode.failed, ExitCode.usage, ExitCode.notFound, ExitCode.unavailable];

export function stopCommand(cli: Cli): Command {
  const command = describe({
    usage: "stop [ids...]",
    summary: "Stop components and services without removing them",
    description:
      "Without ids, stops everything, from the sources down. An id names a component, a service, or one instance such as enrich-2. The files of its secrets are removed. The control plane keeps running.",
    withAccess: "changes",
    examples: [
      ["flowctl stop", "the whole pipeline"],
      ["flowctl stop enrich-2", "one instance"],
    ],
    takes: "ids",
    exitCodes: EXIT_CODES,
  });
  stopTimeoutOption(command);
  return lifecycle(cli, command, async (context, target, ids, flags) => {
    const { deps, signal } = context;
    await untilNoUpBegins(context, target.name);
    const access = new ControlPlaneAccess(deps, target.driver, target.name);
    const record = await access.record(signal);
    const progress = await context.progress();
    const release = deps.interrupts.answerSecond();
    try {
      const { plan, told } = await windDown({
        driver: target.driver,
        pipeline: target.name,
        command: "flowctl stop",
        depths: depthsOf(target.file, record),
        mode: "stop",
        volumes: false,
        select: ids,
        deps,
        unheard: { otherwise: "refuse", patience: deps.interrupts.first },
        progress: progress.sink,
        hurry: deps.interrupts.first,
        timeoutMs: flags.timeout,
        onHurry: () => undefined,
      });
      await removeSecrets(target, plan, progress.sink);
      const idle = plan.unchanged.map(instanceIdOf).filter((id) => told.includes(id));
      if (idle.length > 0) context.output.say(`Not running, and will not be restarted: ${idle.join(", ")}`);
      return { plan, done: idle.length > 0 };
    } finally {
      release();
      access.close();
      progress.stop();
    }
  });
}

export function startCommand(cli: Cli): Command {
  const command = describe({
    usage: "start [ids...]",
    summary: "Start components and services that were stopped",
    description:
      "Without ids, starts everything that is not running. Does not apply changes of the file: use `up` for that. Secrets of what was stopped are read again from their sources.",
    withAccess: "changes",
    examples: [
      ["flowctl start", "the whole pipeline"],
      ["flowctl start enrich", "all instances of a component"],
    ],
    takes: "ids",
    exitCodes: EXIT_CODES,
  });
  return lifecycle(cli, command, (context, target, ids) =>
    execute(context, target, "flowctl start", (observed) => planStart(target.name, observed, ids)),
  );
}

export function restartCommand(cli: Cli): Command {
  const command = describe({
    usage: "restart [ids...]",
    summary: "Restart components and services",
    description:
      "Without ids, restarts everything. A completed component runs again from its last checkpoint. No event is lost: unacknowledged events are sent again.",
    withAccess: "changes",
    examples: [
      ["flowctl restart enrich", "all instances of a component"],
      ["flowctl restart enrich-1", "one instance"],
    ],
    takes: "ids",
    exitCodes: EXIT_CODES,
  });
  return lifecycle(cli, command, (context, target, ids) =>
    execute(context, target, "flowctl restart", (observed) => planRestart(target.name, observed, ids)),
  );
}

/** What had ended by itself has its secrets until somebody stops it. */
async function removeSecrets({ driver, name }: Target, plan: Plan, progress: ProgressSink): Promise<void> {
  const { signal } = new AbortController();
  const ended = plan.unchanged.filter(({ secrets }) => secrets === "present");
  await Promise.all(
    ended.map((observed) =>
      driver.apply({ action: "stop", observed, cause: "stop" }, { pipeline: name, signal, progress }),
    ),
  );
}

type Target = Awaited<ReturnType<typeof findTarget>>;
type Action = (
  context: CommandContext,
  target: Target,
  ids: readonly string[],
  flags: LifecycleFlags,
) => Promise<Outcome>;

interface Outcome {
  readonly plan: Plan;
  /** Something was done besides the plan, and was said. */
  readonly done: boolean;
}

function lifecycle(cli: Cli, command: Command, action: Action): Command {
  jsonOption(quietOption(progressOption(pipelineOptions(command))));
  return handle<[readonly string[]], LifecycleFlags>(cli, command, async (context, [ids], flags) => {
    context.deps.interrupts.ignoreOutput();
    return await withIds(context, command, ids, async () => {
      const target = await findTarget(context, undefined, { changes: command.name() });
      const { plan, done } = await action(context, target, ids, flags);
      if (context.output.json) context.output.printJson({ driver: target.driver.name, ...planDocument(plan) });
      else if (isEmpty(plan) && !done) context.output.say(`${target.name}: nothing to do`);
      return ExitCode.ok;
    });
  });
}

async function execute(
  context: CommandContext,
  target: Target,
  command: string,
  planFor: (observed: readonly ObservedResource[]) => Plan,
): Promise<Outcome> {
  const { deps, signal } = context;
  const { driver, name } = target;
  const operation = new PipelineOperation(deps, driver, name, command);
  const access = new ControlPlaneAccess(deps, driver, name);
  const progress = await context.progress();
  try {
    const persistent = { restartHung: true, progress: progress.sink };
    const held = await operation.holdPersistently(persistent, signal);
    const plan = planFor(await driver.observe(name, signal));
    const deployment = await valuesForStart(context, plan, target, access);
    // Nothing is started and no exit is a surprise before the control plane knows what is wanted.
    if (held) await operation.desirePersistently(desiredBy(plan), persistent, signal);
    await executePlan(plan, {
      driver,
      ...(deployment === undefined ? {} : { deployment }),
      clock: deps.clock,
      signal: AbortSignal.any([signal, operation.takenOver]),
      // What is being restarted has been stopped: it is started again before an interrupt ends the command.
      hurry: deps.interrupts.second,
      progress: progress.sink,
    });
    return { plan, done: false };
  } finally {
    progress.stop();
    access.close();
    operation.release();
  }
}

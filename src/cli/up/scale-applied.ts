import { FlowctlError } from "../../foundation/errors.ts";
import type { Pipeline } from "../../pipeline/pipeline.ts";
import type { KeptPipeline } from "../../protocol/records.ts";
import type { CommandContext } from "../command.ts";
import type { Target } from "../target.ts";
import { untilNoDownRuns } from "./announcements.ts";
import { prepareWanted, refuseUnknown, wantedOfFile } from "./bring-up.ts";
import type { PreparedUp, Wanted } from "./change.ts";
import { changedSecrets, type Kept, openKept } from "./kept.ts";
import { deploymentOf } from "./kept-deployment.ts";
import { planOnceHeld } from "./plan-change.ts";

type Numbers = Readonly<Record<string, number>>;

/**
 * A plan that changes the numbers of instances of some components, and nothing else: settings, images, log level and all other
 * options are those that the pipeline runs with, whatever the file, the flags and the environment say by now. Where the control plane
 * does not keep them, new instances are made as the file says, and those that there are stay.
 */
export async function prepareScale(
  context: CommandContext,
  { name, driver }: Target,
  numbers: Numbers,
): Promise<PreparedUp> {
  await untilNoDownRuns(context, name);
  const options = {
    build: false,
    dryRun: false,
    forceRecreate: false,
    scale: numbers,
    only: new Set(Object.keys(numbers)),
    keepExisting: true,
    command: "flowctl scale",
  };
  const wanted = async (sealed: KeptPipeline | undefined): Promise<Wanted> => {
    const kept = sealed?.latest && openKept(sealed.latest, await context.deps.homeKey());
    if (kept !== undefined) return withNumbers(context, driver, kept, numbers);
    context.output.say("The applied configuration is not stored: new instances use the current file and options");
    return wantedOfFile(context, [], options);
  };
  return planOnceHeld(context, { driver, pipeline: name }, wanted, options);
}

async function withNumbers(
  context: CommandContext,
  driver: Target["driver"],
  kept: Kept,
  numbers: Numbers,
): Promise<Wanted> {
  refuseUnknown(kept.pipeline, Object.keys(numbers));
  await refuseNumbers(context, kept.pipeline, numbers);
  const components = kept.pipeline.components.map((component) => ({
    ...component,
    replicas: numbers[component.id] ?? component.replicas,
  }));
  const deployment = await deploymentOf(context, { ...kept, pipeline: { ...kept.pipeline, components } });
  const secrets = changedSecrets(kept, deployment.secretValues, await context.deps.homeKey());
  if (secrets.length > 0) context.output.say(`New instances use the current value of ${secrets.join(", ")}`);
  const placed = (error: unknown): unknown => error;
  return prepareWanted(context, driver, deployment, { build: false, dryRun: false, placed, envFile: kept.envFile });
}

/** Throws what a file would be refused with that says these numbers, and not without them. */
async function refuseNumbers(context: CommandContext, pipeline: Pipeline, numbers: Numbers): Promise<void> {
  const [{ loadPipeline }, { renderConfig }] = await Promise.all([
    import("../../pipeline/load-pipeline.ts"),
    import("../../pipeline/render/render-config.ts"),
  ]);
  const { directory, name } = pipeline;
  const common = { files: ["-"], stdin: renderConfig(pipeline), directory, name, env: {}, profiles: ["*"] };
  const catalog = await context.deps.catalog();
  const problemsOf = async (replicas: Numbers) => {
    const loaded = await loadPipeline({ ...common, catalog, replicas, signal: context.signal });
    return loaded.ok ? [] : loaded.problems.filter(({ severity }) => severity === "error");
  };
  const before = new Set((await problemsOf({})).map(({ code, message }) => `${code} ${message}`));
  const problem = (await problemsOf(numbers)).find(({ code, message }) => !before.has(`${code} ${message}`));
  if (problem === undefined) return;
  const { code, message, fix } = problem;
  throw new FlowctlError({ code, kind: "invalid", message, ...(fix === undefined ? {} : { fix }) });
}

import type { Deployment } from "../../drivers/driver.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import type { Pipeline } from "../../pipeline/pipeline.ts";
import type { Plan } from "../../planner/plan.ts";
import type { CommandContext } from "../command.ts";
import type { ControlPlaneAccess } from "../control-plane-access.ts";
import { resolveDeployment } from "../deployment.ts";
import { withEnvFile } from "../load.ts";
import type { Target } from "../target.ts";
import { keptBefore } from "./keeping.ts";
import { changedSecrets, openKept } from "./kept.ts";
import { deploymentOf } from "./kept-deployment.ts";

/**
 * The secrets of what a plan starts and was stopped, read again from where the pipeline that is applied says, or, where that is not
 * stored, the file; undefined where nothing needs them. Says which have another value than before. Rejects as `resolveDeployment`
 * does, and with `cli/secrets-unknown` (kind not-found) where neither says where they come from.
 */
export async function valuesForStart(
  context: CommandContext,
  plan: Plan,
  target: Target,
  access: ControlPlaneAccess,
): Promise<Deployment | undefined> {
  const owners = new Set(
    plan.steps.flatMap(({ change }) =>
      "observed" in change && change.observed.secrets === "removed" ? [change.observed.owner] : [],
    ),
  );
  if (owners.size === 0) return undefined;
  const { deps, settings, output, signal } = context;
  const sealed = (await keptBefore(access, signal))?.latest;
  const kept = sealed && openKept(sealed, await deps.homeKey());
  if (kept !== undefined) {
    const deployment = await deploymentOf(context, { ...kept, pipeline: only(kept.pipeline, owners) });
    const changed = changedSecrets(kept, deployment.secretValues, await deps.homeKey());
    if (changed.length > 0) output.say(`Starting with the current value of ${changed.join(", ")}`);
    return deployment;
  }
  const { file } = target;
  if (file === undefined) throw unknown(target.name, [...owners]);
  const { persistence, logLevel, insecure, metrics } = settings;
  const options = { persistence, logLevel, insecure, metrics };
  return resolveDeployment(only(file, owners), await withEnvFile(context, file), options, { signal });
}

/** No other secrets are read than those that are needed. */
function only(pipeline: Pipeline, owners: ReadonlySet<string>): Pipeline {
  const isMeant = ({ id }: { readonly id: string }): boolean => owners.has(id);
  return { ...pipeline, components: pipeline.components.filter(isMeant), services: pipeline.services.filter(isMeant) };
}

function unknown(pipeline: string, owners: readonly string[]): FlowctlError {
  return new FlowctlError({
    code: "cli/secrets-unknown",
    kind: "not-found",
    message: `Cannot start ${owners.join(", ")}: the secrets were removed when it was stopped, and it is not stored where they come from`,
    fix: `Run \`flowctl up -d\` in the folder of the file of ${pipeline}`,
  });
}

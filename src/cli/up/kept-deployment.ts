import type { Deployment } from "../../drivers/driver.ts";
import type { CommandContext } from "../command.ts";
import { resolveDeployment } from "../deployment.ts";
import { withEnvFile } from "../load.ts";
import type { Kept } from "./kept.ts";

/**
 * What was kept, ready to be carried out again, on the images that it ran on. Values of secrets are read from where the pipeline says:
 * this command's environment, its `--env-file`, else the one that was given when it was applied.
 */
export async function deploymentOf(context: CommandContext, kept: Kept): Promise<Deployment> {
  const configValues = new Map(Object.entries(kept.configs).map(([id, value]) => [id, Buffer.from(value, "base64")]));
  const settings = { ...context.settings, envFile: context.settings.envFile ?? kept.envFile };
  const env = await withEnvFile({ ...context, settings }, kept.pipeline);
  const deployment = await resolveDeployment(kept.pipeline, env, kept.options, {
    configValues,
    signal: context.signal,
  });
  return { ...deployment, images: new Map(Object.entries(kept.images)) };
}

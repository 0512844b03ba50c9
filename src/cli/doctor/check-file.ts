import type { Driver } from "../../drivers/driver.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import type { Pipeline } from "../../pipeline/pipeline.ts";
import { chooseDriver } from "../choose-driver.ts";
import type { CommandContext } from "../command.ts";
import { resolveDeployment, type SecretCommand } from "../deployment.ts";
import { availableDrivers } from "../existing-pipelines.ts";
import { findPipelineFiles } from "../find-pipeline-files.ts";
import { loadValid, withEnvFile } from "../load.ts";
import { requireSecretProgram } from "../secret-command.ts";
import { checkPorts } from "./check-machine.ts";
import { type Finding, ok, problem } from "./finding.ts";

/**
 * The pipeline file of this folder: whether it is valid, whether the driver that it runs on could bring it up (its engine answers,
 * commands exist, names are free, secrets have values), and whether its ports are free. Changes nothing.
 */
export async function checkFile(context: CommandContext, argument: string | undefined): Promise<readonly Finding[]> {
  if (argument !== undefined) return [];
  const { settings, deps } = context;
  const files = settings.files.length > 0 ? settings.files : await findPipelineFiles(deps.cwd);
  if (files.length === 0) return [];
  try {
    const pipeline = await loadValid(context, files);
    const drivers = await availableDrivers(context);
    const publishers = await Promise.all(drivers.map((driver) => driver.here?.(context.signal)));
    const running = await runningOf(context, drivers, pipeline.name);
    const publishes = publishers.some((here) => here?.publishes === true);
    const ports = publishes && running !== undefined ? await checkPorts(pipeline, running) : [];
    return [ok("file", `${files.join(", ")} is valid`), ...(await checkUp(context, pipeline)), ...ports];
  } catch (error) {
    if (!(error instanceof FlowctlError) || error.kind === "internal") throw error;
    return [problem("file", `${files.join(", ")}: ${error.message}`, error.fix ?? "Run `flowctl validate`")];
  }
}

/** Its components and services that run, and so have their ports themselves; undefined where that cannot be told. */
async function runningOf(
  { signal }: CommandContext,
  drivers: readonly Driver[],
  name: string,
): Promise<ReadonlySet<string> | undefined> {
  try {
    const observed = await Promise.all(drivers.map((driver) => driver.observe(name, signal)));
    return new Set(observed.flat().flatMap(({ owner, state }) => (state.status === "running" ? [owner] : [])));
  } catch (error) {
    if (error instanceof FlowctlError && error.kind !== "cancelled") return undefined;
    throw error;
  }
}

/** What `flowctl up` would be refused with, before it changes anything. */
async function checkUp(context: CommandContext, pipeline: Pipeline): Promise<readonly Finding[]> {
  const { deps, settings, signal } = context;
  // It may ask somebody, or be written down where it is run: only whether it could be run is looked at.
  const lookForProgram: SecretCommand = async (key, argv, options) => {
    requireSecretProgram(key, argv, options);
    return new Uint8Array([0]);
  };
  try {
    const { driver } = await chooseDriver(pipeline, settings, deps, signal);
    const options = { persistence: true, logLevel: "info" } as const;
    const env = await withEnvFile(context, pipeline);
    const deployment = await resolveDeployment(pipeline, env, options, { signal, runCommand: lookForProgram });
    await driver.prepare(deployment, { signal, progress: () => undefined, build: false, dryRun: true });
    return [];
  } catch (error) {
    if (!(error instanceof FlowctlError) || error.kind === "internal" || error.kind === "cancelled") throw error;
    const fix = error.fix ?? "`flowctl up --dry-run` shows it with its place in the file";
    return [problem("file", `cannot be brought up: ${error.message}`, fix)];
  }
}

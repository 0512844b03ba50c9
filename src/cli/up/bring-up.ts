import { resolve } from "node:path";
import type { Driver } from "../../drivers/driver.ts";
import { closest } from "../../foundation/did-you-mean.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import type { DriverName, Pipeline } from "../../pipeline/pipeline.ts";
import { projectFolder } from "../../pipeline/project-folder.ts";
import { chooseDriver, RUNNING_PIPELINE, STORED_STATE } from "../choose-driver.ts";
import type { CommandContext } from "../command.ts";
import { resolveDeployment } from "../deployment.ts";
import { allPipelines, availableDrivers, pipelinesOfFolder } from "../existing-pipelines.ts";
import { loadWithPlaces, withEnvFile, withPlace } from "../load.ts";
import { type Home, homesOf, refuseOtherFolder } from "../project.ts";
import { untilNoDownRuns } from "./announcements.ts";
import { readAuthorityFile } from "./authority-file.ts";
import type { ChangeOptions, PreparedUp, Wanted } from "./change.ts";
import { planChange } from "./plan-change.ts";

export interface BringUpOptions extends ChangeOptions {
  /** Build images even where one is there: all, or those of these components and services. */
  readonly build: boolean | ReadonlySet<string>;
  readonly scale: Readonly<Record<string, number>>;
  /** Reject another pipeline than this one, by name. */
  readonly same?: string;
  /** Told which files were read or looked for, whatever comes of it. */
  readonly onLook?: (paths: readonly string[]) => void;
}

/**
 * From the file to a plan: loads it, chooses the driver, resolves secrets, pulls and builds, and compares with what
 * runs. Changes nothing that runs.
 */
export async function prepareUp(
  context: CommandContext,
  files: readonly string[],
  options: BringUpOptions,
): Promise<PreparedUp> {
  return planChange(context, await wantedOfFile(context, files, options), options);
}

/** What the file says, ready to be compared with what runs. */
export async function wantedOfFile(
  context: CommandContext,
  files: readonly string[],
  options: BringUpOptions,
): Promise<Wanted> {
  const { deps, settings, output, signal } = context;
  const loaded = await loadWithPlaces(context, files, options.scale, options.onLook);
  const { pipeline } = loaded;
  if (options.same !== undefined && options.same !== pipeline.name) throw renamed(options.same, pipeline.name);
  refuseUnknown(pipeline, Object.keys(options.scale));
  if (!options.dryRun) await untilNoDownRuns(context, pipeline.name);
  const homes = await homesAnywhere(context, pipeline.name);
  const [first] = homes;
  const home = first?.driver.name;
  if (homes.length === 0) await sayBeside(context, pipeline);
  // What runs stays where it runs, as long as nobody says otherwise.
  const unsaid = settings.driver === undefined && pipeline.driver === undefined;
  const stay = { ...settings, driver: home, driverFrom: first?.isUp ? RUNNING_PIPELINE : STORED_STATE };
  const { driver, why } = await chooseDriver(pipeline, unsaid && home !== undefined ? stay : settings, deps, signal);
  refuseOtherHome(context, pipeline, driver.name, homes);
  output.say(`${output.paintError.bold(pipeline.name)} on ${driver.name} ${output.paintError.dim(`(${why})`)}`);
  const placed = (error: unknown): unknown => withPlace(error, loaded.positionOf);
  if (settings.insecure) refuseOrWarn(context, driver);
  const { persistence, logLevel, insecure, metrics } = settings;
  const deploymentOptions = { persistence, logLevel, insecure, metrics };
  const env = await withEnvFile(context, pipeline);
  const authority = await readAuthorityFile(context);
  const resolved = await resolveDeployment(pipeline, env, deploymentOptions, { signal }).catch((error: unknown) => {
    throw placed(error);
  });
  const deployment = { ...resolved, ...(authority === undefined ? {} : { authority }) };
  const envFile = settings.envFile === undefined ? undefined : resolve(deps.cwd, settings.envFile);
  return prepareWanted(context, driver, deployment, { ...options, placed, envFile });
}

/** What `--insecure` takes away protects from whoever reaches a port: where that is more than this machine it is not given. */
function refuseOrWarn({ output, settings }: CommandContext, { name, capabilities }: Driver): void {
  if (settings.metrics === "token") {
    throw new FlowctlError({
      code: "cli/metrics-insecure",
      kind: "usage",
      message:
        "--metrics token asks for a token at /metrics, and with --insecure there are none: everybody could read it",
      fix: "Leave --insecure out, or give --metrics open (FLOWCTL_METRICS and `metrics` of the config file count, too)",
    });
  }
  if (capabilities.loopback !== true) {
    throw new FlowctlError({
      code: "cli/insecure-refused",
      kind: "invalid",
      message: `--insecure is for what listens on 127.0.0.1 alone, and the ${name} driver listens on a network`,
      fix: "Leave it out, or use --driver process",
    });
  }
  output.warn(
    "--insecure: whoever can connect to this machine's loopback, every user of it included, can read all events and change the pipeline",
    "Leave it out; it is for debugging, or for components that cannot speak TLS yet",
  );
}

/** Lets the driver make ready what a deployment needs: pulls, builds and checks, under progress. */
export async function prepareWanted(
  context: CommandContext,
  driver: Driver,
  deployment: Wanted["deployment"],
  options: Pick<BringUpOptions, "build" | "dryRun"> & Pick<Wanted, "placed" | "envFile">,
): Promise<Wanted> {
  const { build, dryRun, placed, envFile } = options;
  const progress = await context.progress();
  try {
    const { signal } = context;
    const desired = await driver.prepare(deployment, { signal, progress: progress.sink, build, dryRun });
    return { driver, deployment, desired, placed, envFile };
  } catch (error) {
    throw placed(error);
  } finally {
    progress.stop();
  }
}

/** Throws `cli/unknown-component` for an id that no component of the pipeline has. */
export function refuseUnknown(pipeline: Pipeline, wanted: readonly string[]): void {
  const ids = pipeline.components.map(({ id }) => id);
  const unknown = wanted.find((id) => !ids.includes(id));
  if (unknown === undefined) return;
  const near = closest(unknown, ids);
  throw new FlowctlError({
    code: "cli/unknown-component",
    kind: "not-found",
    message: `${pipeline.name} has no component ${JSON.stringify(unknown)}`,
    fix: near === undefined ? `Use one of ${ids.join(", ")}` : `Did you mean ${near}?`,
  });
}

/** What there is of a pipeline on every driver that answers, whatever the settings say. */
async function homesAnywhere(context: CommandContext, name: string): Promise<readonly Home[]> {
  const anyDriver = { ...context, settings: { ...context.settings, driver: undefined } };
  return homesOf(name, await availableDrivers(anyDriver), context.signal);
}

/** A pipeline that was given another name is another one: says which of this folder run on beside it. */
async function sayBeside(context: CommandContext, pipeline: Pipeline): Promise<void> {
  const folder = projectFolder(pipeline);
  const beside = await pipelinesOfFolder(await allPipelines(context), (other) => other === folder, context.signal);
  const names = [...new Set(beside.map((one) => one.pipeline))].filter((name) => name !== pipeline.name);
  if (names.length === 0) return;
  context.output.warn(
    `This folder has ${names.join(", ")} already, which stays as it is: ${pipeline.name} is another pipeline`,
    `If you gave it another name: end this one with \`flowctl down -p ${pipeline.name} -v\`, take the other one down with \`flowctl down -p ${names[0]}\`, and start this one again`,
  );
}

/** Throws when the pipeline belongs to another folder, or is up on another driver; says what else there is of it. */
function refuseOtherHome(
  { output }: CommandContext,
  pipeline: Pipeline,
  chosen: DriverName,
  homes: readonly Home[],
): void {
  const { name } = pipeline;
  for (const { driver, observed, isUp } of homes) {
    const isOther = driver.name !== chosen;
    if (isOther && !isUp) {
      const remove = `flowctl down -v -p ${name} --driver ${driver.name}`;
      output.say(`State stored by an earlier run on ${driver.name} is not used here; \`${remove}\` removes it`);
      continue;
    }
    const abandoned = refuseOtherFolder(name, projectFolder(pipeline), observed);
    if (abandoned !== undefined) output.say(`Using the state stored by ${abandoned}, which no longer exists`);
    if (!isOther) continue;
    throw new FlowctlError({
      code: "cli/runs-elsewhere",
      kind: "conflict",
      message: `${name} already exists on ${driver.name}`,
      fix: `Take it down first with \`flowctl down -p ${name} --driver ${driver.name}\`, or give this one another name with -p`,
    });
  }
}

function renamed(before: string, now: string): FlowctlError {
  return new FlowctlError({
    code: "cli/renamed",
    kind: "conflict",
    message: `The file now names pipeline ${now}, but ${before} is running`,
    fix: `Change \`name\` back to ${before}, or stop this command, run \`flowctl down -p ${before}\`, then \`flowctl up\``,
  });
}

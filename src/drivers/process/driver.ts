import { type Clock, cancelled } from "../../foundation/clock.ts";
import { FlowctlError, hasCode } from "../../foundation/errors.ts";
import { chainExpiry } from "../../identity/authority.ts";
import { readAuthority, readOperator } from "../../identity/identity-folder.ts";
import { changingIdentity } from "../../identity/tls-identity.ts";
import type { Driver } from "../driver.ts";
import { givenAuthority } from "../given-authority.ts";
import { applyChange } from "./apply.ts";
import { PROCESS_CAPABILITIES } from "./capabilities.ts";
import { driverEvents } from "./events.ts";
import { Authorities } from "./home/authorities.ts";
import { flowctlHome, type PipelinePaths, pipelinePaths } from "./home/paths.ts";
import { homeFailure, pipelineNames } from "./home/pipeline-folder.ts";
import { secretDigest } from "./home/secret-digest.ts";
import { createLocalEngines } from "./instance/local-engine.ts";
import { pipelineLogs } from "./logs.ts";
import { observePipeline } from "./observe.ts";
import { desiredResources } from "./prepare.ts";
import { type ProcessEntries, processEntries } from "./supervisor/entries.ts";
import { createGreeting } from "./supervisor/greeting.ts";
import { createSupervisorClient, NO_SUPERVISOR } from "./supervisor/supervisor-client.ts";
import type { LaunchOptions } from "./supervisor/supervisor-launch.ts";

export interface ProcessDriverOptions {
  /** Folder of flowctl's package.json. */
  readonly packageRoot: string;
  /** Version of flowctl. */
  readonly version: string;
  /** Names the home (see flowctlHome), and is what the processes of a pipeline inherit (see inheritedEnvironment). */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** Default: what is built in the package, else its sources. */
  readonly entries?: ProcessEntries;
  /** A supervisor that does not answer within this time hangs, and is replaced; default 4,000. */
  readonly patienceMs?: number;
}

const PATIENCE_MS = 4_000;

/**
 * The driver that runs components as child processes of a background supervisor. What it is told of a pipeline lies
 * under the home's `pipelines/<name>`; observing, logs, stopping and removing need no living supervisor, everything
 * else starts one.
 */
export function createProcessDriver(options: ProcessDriverOptions): Driver {
  const { environment, clock, version } = options;
  const home = flowctlHome(environment);
  const entries = options.entries ?? processEntries(options.packageRoot);
  const supervisors = createSupervisorClient();
  const greet = createGreeting(supervisors, clock, options.patienceMs ?? PATIENCE_MS);
  const engines = createLocalEngines(clock);
  const authorities = new Authorities();
  const launchOptions = (paths: PipelinePaths, signal: AbortSignal): LaunchOptions => ({
    paths,
    home,
    program: entries.supervisor,
    environment,
    clock,
    signal,
    supervisors,
    greet,
    authority: authorities.made(paths.pipeline),
  });

  return {
    name: "process",
    capabilities: PROCESS_CAPABILITIES,
    here: async () => ({ folder: home, own: true, publishes: false }),
    async probe() {
      if (process.platform === "win32") {
        const fix = "Run flowctl in WSL, or use --driver docker";
        return { available: false, reason: "Windows has no process groups", fix };
      }
      const failure = await homeFailure(home);
      if (failure === undefined) return { available: true, detail: `local processes, state in ${home}` };
      const { message: reason, fix } = failure;
      return { available: false, reason, ...(fix === undefined ? {} : { fix }) };
    },
    async prepare(deployment, prepareOptions) {
      if (prepareOptions.signal.aborted) throw cancelled(prepareOptions.signal);
      const digest = await secretDigest(home, { readOnly: prepareOptions.dryRun });
      const path = environment.PATH ?? "";
      const paths = pipelinePaths(home, deployment.pipeline.name);
      const authority = await authorities.find(paths, givenAuthority(deployment, prepareOptions));
      return desiredResources(deployment, { entries, version, path, digest, authority }, prepareOptions);
    },
    observe: (pipeline, signal) => observePipeline(pipelinePaths(home, pipeline), signal),
    apply(change, context) {
      const paths = pipelinePaths(home, context.pipeline);
      return applyChange(change, context, { ...launchOptions(paths, context.signal), engines });
    },
    logs: (pipeline, logOptions, signal) =>
      pipelineLogs({ folder: pipelinePaths(home, pipeline).logs, clock }, logOptions, signal),
    events: (pipeline, signal) => driverEvents(supervisors, pipelinePaths(home, pipeline), clock, signal),
    async controlPlane(pipeline, signal) {
      try {
        const paths = pipelinePaths(home, pipeline);
        const { grpc, http, secure } = await greet(paths, signal);
        if (!secure) return { grpc, http };
        const operator = await readOperator(paths.identity);
        if (operator === undefined) throw operatorLost(paths);
        const authority = await readAuthority(paths.identity, pipeline);
        const until = authority && chainExpiry(authority);
        const identity = changingIdentity({ role: "operator", pipeline }, operator);
        return { grpc, http, identity, ...(until === undefined ? {} : { authorityExpires: until }) };
      } catch (error) {
        if (hasCode(error, NO_SUPERVISOR)) return undefined;
        throw error;
      }
    },
    pipelines: () => pipelineNames(home),
  };
}

/** Of kind `unavailable`, as of a control plane that hangs: what brings that back, or takes it down, mends this. */
function operatorLost({ identity, pipeline }: PipelinePaths): FlowctlError {
  return new FlowctlError({
    code: "process/operator-lost",
    kind: "unavailable",
    message: `The control plane of ${pipeline} runs, and what commands prove themselves with is missing or damaged in ${identity}`,
    fix: `Run \`flowctl up -d -p ${pipeline}\`, which restarts the control plane and makes it anew, or \`flowctl down ${pipeline}\``,
  });
}

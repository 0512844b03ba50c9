import { statSync } from "node:fs";
import { isAbsolute, resolve } from "node:path";
import { FlowctlError } from "../../foundation/errors.ts";
import type { Component, Pipeline } from "../../pipeline/pipeline.ts";
import { dependencies } from "../dependencies.ts";
import type { Deployment, DesiredResource, PrepareOptions } from "../driver.ts";
import { fingerprint } from "../fingerprint.ts";
import { CONTROL_PLANE, instancesOf } from "../identity.ts";
import type { SecretDigest } from "./home/secret-digest.ts";
import { findCommand } from "./instance/command-lookup.ts";
import type { ComponentSpec } from "./instance/instance-record.ts";
import type { ProcessEntries } from "./supervisor/entries.ts";
import type { SupervisorSpec } from "./supervisor/supervisor-record.ts";

export interface PrepareContext {
  readonly entries: ProcessEntries;
  /** Version of flowctl. */
  readonly version: string;
  /** Where commands are looked up, unless the component has a PATH of its own. */
  readonly path: string;
  readonly digest: SecretDigest;
  /** Id of the pipeline's authority, where one of the user's own has signed it: who trusts another one is of no use. */
  readonly authority?: string | undefined;
}

/** The volume that stands for the checkpoints and the store of a pipeline. */
export const STATE_VOLUME = { key: "volume/state", kind: "volume", owner: "state", index: 0 } as const;
/**
 * What makes up a deployment on processes. Rejects, before anything starts, what cannot run as one: services
 * (`driver/services-unsupported`), images without a command (`driver/not-runnable`), commands that do not exist.
 */
export function desiredResources(
  deployment: Deployment,
  context: PrepareContext,
  options: Pick<PrepareOptions, "progress">,
): readonly DesiredResource[] {
  const { pipeline } = deployment;
  rejectServices(pipeline);
  const components = pipeline.components.map((component) => ({
    component,
    spec: specOf(component, deployment, context),
  }));
  const resources: DesiredResource[] = [stateVolume(), controlPlane(deployment, context)];
  for (const { component, spec } of components) {
    reportIgnored(component, options);
    const parts = fingerprintOf(component, spec, deployment, context);
    const after: DesiredResource["after"] = [
      { key: CONTROL_PLANE.key, condition: "started" },
      ...dependencies(pipeline, component),
    ];
    for (const identity of instancesOf(component)) resources.push({ ...identity, ...parts, after, spec });
  }
  return resources;
}

function rejectServices(pipeline: Pipeline): void {
  const [service] = pipeline.services;
  if (service !== undefined) throw servicesUnsupported(service.id);
}

/** The error for a service: this driver runs none. */
export function servicesUnsupported(id: string): FlowctlError {
  return new FlowctlError({
    code: "driver/services-unsupported",
    kind: "invalid",
    message: `The process driver cannot run the service ${JSON.stringify(id)}: services are containers`,
    fix: "Use --driver docker, or remove the service from the file and set the address of a running one in the components",
    path: `services.${id}`,
  });
}

function stateVolume(): DesiredResource {
  return { ...STATE_VOLUME, ...fingerprint({ format: 1 }), after: [], spec: { kind: "volume" } };
}

function controlPlane(deployment: Deployment, context: PrepareContext): DesiredResource {
  const inheritsEverything = deployment.pipeline.components.some(({ inheritEnvironment }) => inheritEnvironment);
  const spec: SupervisorSpec = {
    kind: "control-plane",
    persistence: deployment.options.persistence,
    logLevel: deployment.options.logLevel,
    withheld: Object.values(deployment.pipeline.secrets).flatMap((secret) =>
      secret.kind === "environment" ? [secret.variable] : [],
    ),
    ...(inheritsEverything ? { inheritsEverything } : {}),
    ...(deployment.options.insecure === true ? { insecure: true } : {}),
    ...(deployment.options.metrics === "token" ? { metrics: "token" } : {}),
  };
  const parts = fingerprint({
    version: [context.version, context.entries.supervisorCode],
    persistence: spec.persistence,
    logLevel: spec.logLevel,
    // What it has inherited, it hands on: one that was started before a variable became a secret has its value.
    secrets: spec.withheld.length === 0 ? undefined : [...spec.withheld].sort(),
    // Nor can one that was started without the whole environment hand it on.
    inherit_environment: spec.inheritsEverything,
    identity: identityOf(deployment, context),
    metrics: spec.metrics,
  });
  return { ...CONTROL_PLANE, ...parts, after: [{ key: STATE_VOLUME.key, condition: "exists" }], spec };
}

function specOf(component: Component, deployment: Deployment, context: PrepareContext): ComponentSpec {
  const directory = workingDirectory(component, deployment.pipeline);
  return {
    kind: "component",
    component,
    argv: argvOf(component, directory, context),
    directory,
    logLevel: deployment.options.logLevel,
  };
}

function argvOf(component: Component, directory: string, context: PrepareContext): readonly string[] {
  if (component.uses !== undefined) return [...context.entries.component, component.uses];
  const [program, ...rest] = [...(component.entrypoint ?? []), ...(component.command ?? [])];
  if (program === undefined) {
    throw new FlowctlError({
      code: "driver/not-runnable",
      kind: "invalid",
      message: `The process driver cannot run ${JSON.stringify(component.id)}: it has neither uses nor command`,
      fix: "Add a command to run on this machine, or use --driver docker",
      path: `${component.type}s.${component.id}`,
    });
  }
  const path = component.environment.PATH ?? context.path;
  return [findCommand(program, { component: component.id, directory, path }), ...rest];
}

function workingDirectory(component: Component, pipeline: Pipeline): string {
  if (component.uses !== undefined || component.workingDir === undefined) return pipeline.directory;
  const { workingDir } = component;
  const directory = isAbsolute(workingDir) ? workingDir : resolve(pipeline.directory, workingDir);
  if (statSync(directory, { throwIfNoEntry: false })?.isDirectory() ?? false) return directory;
  throw new FlowctlError({
    code: "process/no-working-directory",
    kind: "not-found",
    message: `The working_dir of ${component.id} is not a folder on this machine: ${directory}`,
    fix: `Create it (\`mkdir -p ${directory}\`), or change \`working_dir\` of ${component.id}`,
    path: `${component.type}s.${component.id}.working_dir`,
  });
}

/** Scaling is not among the parts: it would replace the instances that are there already. */
function fingerprintOf(
  component: Component,
  spec: ComponentSpec,
  deployment: Deployment,
  context: PrepareContext,
): Pick<DesiredResource, "hash" | "parts"> {
  const valuesOf = (
    grants: Component["secrets"],
    values: ReadonlyMap<string, Uint8Array>,
  ): readonly (readonly string[])[] | undefined =>
    grants.length === 0
      ? undefined
      : grants.map(({ source, target }) => [source, target, digestOf(values.get(source), context.digest)]);
  const entrypoint = component.entrypoint?.length ?? 0;
  return fingerprint({
    type: component.type,
    // The programs of flowctl itself move with every installation; their code is a part of its own.
    ...(component.uses === undefined
      ? { entrypoint: spec.argv.slice(0, entrypoint), command: spec.argv.slice(entrypoint) }
      : { uses: component.uses }),
    working_dir: spec.directory,
    environment: component.environment,
    // What is inherited is no part: another shell's variables are no reason to restart what runs.
    inherit_environment: component.inheritEnvironment || undefined,
    with: component.with,
    code: component.uses === undefined ? undefined : [context.version, context.entries.componentCode],
    secrets: valuesOf(component.secrets, deployment.secretValues),
    configs: valuesOf(component.configs, deployment.configValues),
    healthcheck: component.healthcheck,
    stop_grace_period: component.stopGracePeriodMs,
    log_level: spec.logLevel,
    identity: identityOf(deployment, context),
  });
}

/** Who speaks in the clear and who does not do not speak to each other. */
function identityOf({ options }: Deployment, { authority }: PrepareContext): number | string | undefined {
  return options.insecure === true ? undefined : (authority ?? 1);
}

function digestOf(value: Uint8Array | undefined, digest: SecretDigest): string {
  return value === undefined ? "" : digest(value);
}

/** A file may say more for containers than a process can have; what is left out is said, never silent. */
function reportIgnored(component: Component, options: Pick<PrepareOptions, "progress">): void {
  const { limits } = component;
  const ignored = [
    component.ports.length > 0 && "ports",
    component.mounts.length > 0 && "volumes",
    component.tmpfs.length > 0 && "tmpfs",
    component.networks.length > 0 && "networks",
    component.extraHosts.length > 0 && "extra_hosts",
    Object.keys(component.ulimits).length > 0 && "ulimits",
    component.user !== undefined && "user",
    component.uses === undefined && component.readOnly && "read_only",
    (limits.cpus ?? limits.memoryBytes ?? limits.pids) !== undefined && "deploy.resources.limits",
  ].filter((name) => name !== false);
  if (ignored.length === 0) return;
  options.progress({
    subject: `component/${component.id}`,
    status: "done",
    text: `Ignores ${ignored.join(", ")} when run as a process`,
  });
}

import { hasCode } from "../../foundation/errors.ts";
import type { Component } from "../../pipeline/pipeline.ts";
import { projectFolder } from "../../pipeline/project-folder.ts";
import type { ApplyContext, Change } from "../driver.ts";
import { type Grant, type GrantedValues, grantedValue, grantsOf, hasSecretValues } from "../grants.ts";
import { claimProject } from "./home/project-record.ts";
import type { ComponentSpec } from "./instance/instance-record.ts";
import type { LocalEngines } from "./instance/local-engine.ts";
import { servicesUnsupported } from "./prepare.ts";
import { isUnusable, NO_SUPERVISOR, SUPERVISOR_LOST } from "./supervisor/supervisor-client.ts";
import { applyCodec } from "./supervisor/supervisor-codec.ts";
import { changeState, changeSupervisor } from "./supervisor/supervisor-control.ts";
import { endSupervisor, ensureSupervisor, type LaunchOptions } from "./supervisor/supervisor-launch.ts";
import { supervisorService } from "./supervisor/supervisor-messages.ts";
import { readSupervisorRecord } from "./supervisor/supervisor-record.ts";

type ApplyOptions = LaunchOptions & { readonly engines: LocalEngines };

const DEADLINE_MS = 60_000;

/** Carries out one change; see `Driver.apply`. */
export async function applyChange(change: Change, context: ApplyContext, options: ApplyOptions): Promise<void> {
  const { kind, owner } = "resource" in change ? change.resource : change.observed;
  if ("resource" in change && context.deployment !== undefined) {
    await claimProject(options.paths, projectFolder(context.deployment.pipeline));
  }
  switch (kind) {
    case "network":
      return;
    case "volume":
      return changeState(change, options);
    case "control-plane":
      return changeSupervisor(change, context.force ?? false, options);
    case "component":
      return applyToInstance(change, context, options);
    case "service":
      throw servicesUnsupported(owner);
  }
}

/**
 * Has one change of a component instance carried out by the supervisor. What ends something is done here when none
 * runs; what starts something starts a supervisor first. One that dies meanwhile is followed by another try.
 */
async function applyToInstance(change: Change, context: ApplyContext, options: ApplyOptions): Promise<void> {
  const { paths, clock } = options;
  const { signal, force = false } = context;
  const message = applyCodec.toMessage({ change, force, values: valuesFor(change, context) });
  const deadline = clock.elapsed() + DEADLINE_MS;
  for (;;) {
    try {
      await options.greet(paths, signal);
    } catch (error) {
      if (isUnusable(error)) await endSupervisor(options);
      else if (!hasCode(error, NO_SUPERVISOR)) throw error;
      if (change.action !== "stop" && change.action !== "remove") await ensureSupervisor(undefined, options);
      else if (await options.engines.use(paths, (engine) => engine.apply(change, { signal, force }))) {
        // What else there is of the pipeline goes on, and with it its control plane; a removal is mostly part of a down.
        const isDown = change.action === "remove" || (await readSupervisorRecord(paths)) === undefined;
        if (!isDown) await ensureSupervisor(undefined, options);
        return;
      }
    }
    try {
      await options.supervisors.request(paths, supervisorService.apply, message, { signal });
      return;
    } catch (error) {
      const again = hasCode(error, SUPERVISOR_LOST) || hasCode(error, NO_SUPERVISOR);
      if (!again || clock.elapsed() > deadline) throw error;
    }
    await clock.sleep(100, signal);
  }
}

/** Whose values a change needs: of what it makes, or starts again. */
function componentOf(change: Change, { deployment }: ApplyContext): Component | undefined {
  if ("resource" in change) return (change.resource.spec as ComponentSpec).component;
  if (change.action !== "start" && change.action !== "restart") return undefined;
  return deployment?.pipeline.components.find(({ id }) => id === change.observed.owner);
}

const NOTHING: ReadonlyMap<string, Uint8Array> = new Map();

/** What is given along with the change: of what is started again its secrets alone, as it has its configs. */
function valuesFor(change: Change, context: ApplyContext): GrantedValues {
  const { deployment } = context;
  const component = componentOf(change, context);
  if (component === undefined) return { secretValues: NOTHING, configValues: NOTHING };
  const secrets = (): GrantedValues["secretValues"] => valuesOf("secret", component, deployment);
  if ("resource" in change) return { secretValues: secrets(), configValues: valuesOf("config", component, deployment) };
  return { secretValues: hasSecretValues(component, deployment) ? secrets() : NOTHING, configValues: NOTHING };
}

function valuesOf(
  kind: Grant["kind"],
  component: Component,
  values: GrantedValues | undefined,
): ReadonlyMap<string, Uint8Array> {
  const grants = grantsOf(component).filter((grant) => grant.kind === kind);
  return new Map(grants.map((grant) => [grant.source, grantedValue(grant, values)]));
}

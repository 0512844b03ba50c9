import type { LogLevel } from "../foundation/logger.ts";
import type { JoiningFiles } from "../identity/joining-files.ts";
import type { Component, Pipeline } from "../pipeline/pipeline.ts";
import { instanceId } from "./identity.ts";

/** Where one instance listens, keeps things and finds the control plane, as its driver arranged it. */
export interface InstancePlacement {
  /** From 1. */
  readonly index: number;
  /** `host:port` of the control plane's gRPC server, as the instance dials it. */
  readonly controlPlane: string;
  /** `host:port` to bind the EventStream to. */
  readonly listen: string;
  /** `host:port` that other instances dial. */
  readonly advertise: string;
  readonly healthPort: number;
  /** A folder of the instance's own that survives restarts and replacement. */
  readonly stateDirectory: string;
  /** Where granted secrets lie as files named after their key. */
  readonly secretsDirectory: string;
  /** What the instance joins with; absent where everybody speaks in the clear. */
  readonly identity?: JoiningFiles | undefined;
  readonly logLevel: LogLevel;
}

/**
 * The environment of one component instance: what the file gives it, then the contract with components on top, which
 * the file cannot override. Holds no secret values.
 */
export function componentEnvironment(
  pipeline: Pick<Pipeline, "name">,
  component: Component,
  placement: InstancePlacement,
): Record<string, string> {
  return {
    ...component.environment,
    FLOWCTL_CONTROL_PLANE: placement.controlPlane,
    FLOWCTL_PIPELINE: pipeline.name,
    FLOWCTL_COMPONENT_ID: component.id,
    FLOWCTL_COMPONENT_TYPE: component.type,
    FLOWCTL_INSTANCE_ID: instanceId(component.id, placement.index),
    FLOWCTL_INSTANCE_INDEX: String(placement.index),
    FLOWCTL_REPLICAS: String(component.replicas),
    FLOWCTL_LISTEN: placement.listen,
    FLOWCTL_ADVERTISE: placement.advertise,
    FLOWCTL_HEALTH_PORT: String(placement.healthPort),
    FLOWCTL_CONFIG: JSON.stringify(component.with),
    FLOWCTL_STATE_DIR: placement.stateDirectory,
    FLOWCTL_SECRETS_DIR: placement.secretsDirectory,
    ...identityVariables(placement.identity),
    FLOWCTL_LOG_LEVEL: placement.logLevel,
    FLOWCTL_STOP_GRACE_MS: String(component.stopGracePeriodMs),
  };
}

function identityVariables(files: JoiningFiles | undefined): Record<string, string> {
  if (files === undefined) return {};
  return { FLOWCTL_TLS_CA: files.ca, FLOWCTL_TLS_CERT: files.certificate, FLOWCTL_TLS_KEY: files.key };
}

import { join } from "node:path";
import { FlowctlError } from "../foundation/errors.ts";
import type { LogLevel } from "../foundation/logger.ts";
import type { JoiningFiles } from "../identity/joining-files.ts";
import type { ComponentType } from "../pipeline/pipeline.ts";
import type { InstanceInfo } from "./component.ts";

/** What the environment says: the contract between flowctl and every component. */
export interface Environment {
  readonly instance: InstanceInfo;
  readonly type: ComponentType | undefined;
  /** `host:port` of the control plane. */
  readonly controlPlane: string;
  /** `host:port` to bind; empty host means all addresses. */
  readonly listen: string;
  /** `host:port` that others dial; undefined: the bound port on 127.0.0.1. */
  readonly advertise: string | undefined;
  readonly healthHost: string;
  readonly healthPort: number;
  /** `with:` as parsed JSON. */
  readonly config: unknown;
  readonly stateDirectory: string;
  readonly secretsDirectory: string;
  /** What the instance joins with; undefined: the pipeline has no identity, and everybody speaks in the clear. */
  readonly identity?: JoiningFiles | undefined;
  readonly logLevel: LogLevel;
  /** How long after SIGTERM everything has to be over, in milliseconds. */
  readonly stopGraceMs: number;
}

const LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];
const TYPES: readonly ComponentType[] = ["source", "processor", "sink"];

/** Reads the contract's variables. Throws `sdk/environment` naming the first that is missing or wrong. */
export function readEnvironment(env: Readonly<Record<string, string | undefined>>): Environment {
  const componentId = required(env, "FLOWCTL_COMPONENT_ID");
  const listen = env.FLOWCTL_LISTEN || "0.0.0.0:0";
  return {
    instance: {
      pipeline: required(env, "FLOWCTL_PIPELINE"),
      componentId,
      instanceId: env.FLOWCTL_INSTANCE_ID || `${componentId}-1`,
      index: integer(env, "FLOWCTL_INSTANCE_INDEX", 1, 1),
      replicas: integer(env, "FLOWCTL_REPLICAS", 1, 1),
    },
    type: choice(env, "FLOWCTL_COMPONENT_TYPE", TYPES),
    controlPlane: required(env, "FLOWCTL_CONTROL_PLANE"),
    listen,
    advertise: env.FLOWCTL_ADVERTISE || undefined,
    healthHost: listen.startsWith("127.0.0.1:") || listen.startsWith("localhost:") ? "127.0.0.1" : "0.0.0.0",
    healthPort: integer(env, "FLOWCTL_HEALTH_PORT", 8088, 0),
    config: json(env, "FLOWCTL_CONFIG"),
    stateDirectory: env.FLOWCTL_STATE_DIR || join(process.cwd(), ".flowctl-state", componentId),
    secretsDirectory: env.FLOWCTL_SECRETS_DIR || "/run/secrets",
    identity: identity(env),
    logLevel: choice(env, "FLOWCTL_LOG_LEVEL", LEVELS) ?? "info",
    stopGraceMs: integer(env, "FLOWCTL_STOP_GRACE_MS", 10_000, 0),
  };
}

/** One variable alone is a mistake: whoever means to have an identity must not speak in the clear. */
function identity(env: Variables): JoiningFiles | undefined {
  const names = ["FLOWCTL_TLS_CA", "FLOWCTL_TLS_CERT", "FLOWCTL_TLS_KEY"] as const;
  if (names.every((name) => (env[name] ?? "") === "")) return undefined;
  const [ca, certificate, key] = names.map((name) => required(env, name)) as [string, string, string];
  return { ca, certificate, key };
}

type Variables = Readonly<Record<string, string | undefined>>;

function required(env: Variables, name: string): string {
  const value = env[name];
  if (value === undefined || value === "") throw wrong(name, "is not set");
  return value;
}

function integer(env: Variables, name: string, fallback: number, least: number): number {
  const text = env[name];
  if (text === undefined || text === "") return fallback;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < least)
    throw wrong(name, `must be an integer ≥ ${least}, not ${JSON.stringify(text)}`);
  return value;
}

function choice<T extends string>(env: Variables, name: string, allowed: readonly T[]): T | undefined {
  const text = env[name];
  if (text === undefined || text === "") return undefined;
  const found = allowed.find((value) => value === text);
  if (found === undefined) throw wrong(name, `must be one of ${allowed.join(", ")}, not ${JSON.stringify(text)}`);
  return found;
}

function json(env: Variables, name: string): unknown {
  const text = env[name];
  if (text === undefined || text === "") return {};
  try {
    return JSON.parse(text);
  } catch (error) {
    throw wrong(name, "is not JSON", error);
  }
}

function wrong(name: string, what: string, cause?: unknown): FlowctlError {
  return new FlowctlError({
    code: "sdk/environment",
    kind: "invalid",
    message: `${name} ${what}`,
    fix: "start the component with flowctl, or set the variables of the component contract",
    cause,
  });
}

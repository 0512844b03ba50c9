import { formatDuration } from "../../foundation/duration.ts";
import type { Build, ContainerSettings, FileGrant, Healthcheck, ResourceLimits, RestartPolicy } from "../pipeline.ts";
import { formatByteSize } from "../values/byte-size.ts";

type Block = Readonly<Record<string, unknown>>;

/** `{ [key]: value }`, or nothing when the value is empty. */
export function whenAny(key: string, value: Block | readonly unknown[]): Block {
  return Object.keys(value).length === 0 ? {} : { [key]: value };
}

/** The container keys of a component or service in the file's long forms. `defaultRestart` is left out. */
export function containerFile(settings: ContainerSettings, defaultRestart: RestartPolicy["name"]): Block {
  const { healthcheck, restart } = settings;
  return {
    ...given("image", settings.image),
    ...(settings.build === undefined ? {} : { build: buildFile(settings.build) }),
    ...given("entrypoint", settings.entrypoint),
    ...given("command", settings.command),
    ...whenAny("environment", settings.environment),
    ...whenAny(
      "depends_on",
      Object.fromEntries(
        Object.entries(settings.dependsOn).map(([id, { condition, required, restart: follow }]) => [
          id,
          { condition, ...(required ? {} : { required }), ...(follow ? { restart: true } : {}) },
        ]),
      ),
    ),
    ...(healthcheck === undefined ? {} : { healthcheck: healthcheckFile(healthcheck) }),
    ...whenAny("labels", settings.labels),
    ...whenAny("networks", settings.networks),
    ...whenAny(
      "ports",
      settings.ports.map((port) => ({
        target: port.target,
        ...given("published", port.published),
        host_ip: port.hostIp,
        protocol: port.protocol,
      })),
    ),
    ...whenAny(
      "volumes",
      settings.mounts.map((mount) => ({
        type: mount.type,
        ...given("source", mount.source),
        target: mount.target,
        ...(mount.readOnly ? { read_only: true } : {}),
      })),
    ),
    ...whenAny("tmpfs", settings.tmpfs),
    ...whenAny("secrets", settings.secrets.map(grantFile)),
    ...whenAny("configs", settings.configs.map(grantFile)),
    ...whenAny("extra_hosts", settings.extraHosts),
    ...given("pull_policy", settings.pullPolicy),
    ...(settings.readOnly ? { read_only: true } : {}),
    ...(restart.name === defaultRestart && restart.maxRetries === undefined
      ? {}
      : { restart: restart.maxRetries === undefined ? restart.name : `${restart.name}:${restart.maxRetries}` }),
    ...(settings.stopGracePeriodMs === 10_000 ? {} : { stop_grace_period: formatDuration(settings.stopGracePeriodMs) }),
    ...whenAny("ulimits", settings.ulimits),
    ...given("user", settings.user),
    ...given("working_dir", settings.workingDir),
    ...whenAny(
      "deploy",
      whenAny("resources", {
        ...whenAny("limits", limitsFile(settings.limits)),
        ...whenAny("reservations", limitsFile(settings.reservations)),
      }),
    ),
  };
}

function buildFile(build: Build): Block {
  return {
    context: build.context,
    ...given("dockerfile", build.dockerfile),
    ...given("dockerfile_inline", build.dockerfileInline),
    ...whenAny("args", build.args),
    ...given("target", build.target),
    ...whenAny("labels", build.labels),
    ...whenAny("cache_from", build.cacheFrom),
    ...(build.noCache ? { no_cache: true } : {}),
    ...(build.pull ? { pull: true } : {}),
    ...given("network", build.network),
  };
}

function healthcheckFile(healthcheck: Healthcheck): Block {
  const duration = (key: string, milliseconds: number | undefined) =>
    milliseconds === undefined ? {} : { [key]: formatDuration(milliseconds) };
  return {
    ...given("test", healthcheck.test),
    ...duration("interval", healthcheck.intervalMs),
    ...duration("timeout", healthcheck.timeoutMs),
    ...duration("start_period", healthcheck.startPeriodMs),
    ...duration("start_interval", healthcheck.startIntervalMs),
    ...given("retries", healthcheck.retries),
    ...(healthcheck.disable ? { disable: true } : {}),
  };
}

function grantFile(grant: FileGrant): Block {
  return {
    source: grant.source,
    target: grant.target,
    ...given("uid", grant.uid),
    ...given("gid", grant.gid),
    ...(grant.mode === undefined ? {} : { mode: `0${grant.mode.toString(8).padStart(3, "0")}` }),
  };
}

function limitsFile(limits: ResourceLimits): Block {
  return {
    ...given("cpus", limits.cpus),
    ...(limits.memoryBytes === undefined ? {} : { memory: formatByteSize(limits.memoryBytes) }),
    ...given("pids", limits.pids),
  };
}

function given(key: string, value: unknown): Block {
  return value === undefined ? {} : { [key]: value };
}

import { parseDuration } from "../../foundation/duration.ts";
import type { Build, ContainerSettings, DependsOn, Healthcheck, ResourceLimits, RestartPolicy } from "../pipeline.ts";
import type { KeyPath } from "../problem.ts";
import type { ServiceFile } from "../schema/pipeline-file.ts";
import { parseByteSize } from "../values/byte-size.ts";
import { pairsOf, recordOf } from "../values/pairs.ts";
import { splitShellWords } from "../values/shell-words.ts";
import { isTrue, numberOf, withoutUndefined } from "./plain-values.ts";
import { resolveGrants, resolveMounts, resolvePorts } from "./resolve-attachments.ts";
import { resolveEnvironment } from "./resolve-environment.ts";
import type { Scope } from "./scope.ts";
import { absolutePath, reportAt } from "./scope.ts";

const defaultStopGracePeriodMs = 10_000;

/** The container settings of the component or service at `path`. Values that cannot be understood are reported. */
export function resolveContainer(
  scope: Scope,
  path: KeyPath,
  file: ServiceFile,
  defaultRestart: RestartPolicy["name"],
): ContainerSettings {
  return withoutUndefined<ContainerSettings>({
    image: file.image,
    build: resolveBuild(scope, [...path, "build"], file.build),
    command: resolveCommand(scope, [...path, "command"], file.command),
    entrypoint: resolveCommand(scope, [...path, "entrypoint"], file.entrypoint),
    environment: resolveEnvironment(scope, path, file),
    dependsOn: resolveDependsOn(file.depends_on),
    healthcheck: resolveHealthcheck(scope, [...path, "healthcheck"], file.healthcheck),
    labels: recordOf(file.labels),
    networks: networksOf(file.networks),
    ports: resolvePorts(scope, [...path, "ports"], file.ports),
    mounts: resolveMounts(scope, [...path, "volumes"], file.volumes),
    tmpfs: file.tmpfs === undefined ? [] : typeof file.tmpfs === "string" ? [file.tmpfs] : file.tmpfs,
    secrets: resolveGrants(file.secrets, "/run/secrets/"),
    configs: resolveGrants(file.configs, "/"),
    extraHosts: resolveExtraHosts(scope, [...path, "extra_hosts"], file.extra_hosts),
    pullPolicy: file.pull_policy === "if_not_present" ? "missing" : file.pull_policy,
    readOnly: isTrue(file.read_only),
    restart: resolveRestart(file.restart, defaultRestart),
    stopGracePeriodMs: parseDuration(file.stop_grace_period ?? "") ?? defaultStopGracePeriodMs,
    ulimits: resolveUlimits(file.ulimits),
    user: file.user === undefined ? undefined : String(file.user),
    workingDir: file.working_dir,
    limits: resolveLimits(file.deploy?.resources?.limits),
    reservations: resolveLimits(file.deploy?.resources?.reservations),
  });
}

/** Names of networks. `default` is the pipeline's own, which everything joins. */
function networksOf(networks: ServiceFile["networks"]): readonly string[] {
  const names = Array.isArray(networks) ? networks : Object.keys(networks ?? {});
  return names.filter((name) => name !== "default");
}

/** argv of a command. A text is split as a shell would. */
function resolveCommand(
  scope: Scope,
  path: KeyPath,
  command: string | readonly string[] | null | undefined,
): readonly string[] | undefined {
  if (command === undefined || command === null) return undefined;
  if (typeof command !== "string") return command;
  const words = splitShellWords(command);
  if (words === undefined) {
    reportAt(scope, path, {
      code: "pipeline/invalid-command",
      message: `\`${path.at(-1)}\` has an unclosed quote`,
      fix: "Close the quote, or write the command as a list.",
    });
  }
  return words;
}

function resolveBuild(scope: Scope, path: KeyPath, build: ServiceFile["build"]): Build | undefined {
  if (build === undefined) return undefined;
  const file = typeof build === "string" ? { context: build } : build;
  const context = file.context ?? ".";
  const isRemote = /^(?:[a-z-]+:\/\/|git@)/.test(context);
  if (isRemote) {
    reportAt(scope, [...path, "context"], {
      code: "pipeline/unsupported-value",
      message: "The build context must be a local folder, not a remote URL",
      fix: "Check out the sources, and use the path of that folder.",
    });
  }
  if (file.dockerfile !== undefined && file.dockerfile_inline !== undefined) {
    reportAt(scope, [...path, "dockerfile_inline"], {
      code: "pipeline/conflicting-keys",
      message: "`dockerfile` and `dockerfile_inline` cannot be used together",
      fix: "Remove one of the two.",
    });
  }
  return withoutUndefined<Build>({
    context: isRemote ? context : absolutePath(scope, [...path, "context"], context),
    dockerfile: file.dockerfile,
    dockerfileInline: file.dockerfile_inline,
    args: Object.fromEntries(
      [...pairsOf(file.args)].flatMap(([key, value]) => {
        const final = value ?? scope.env.get(key);
        return final === undefined ? [] : [[key, final]];
      }),
    ),
    target: file.target,
    labels: recordOf(file.labels),
    cacheFrom: file.cache_from ?? [],
    noCache: isTrue(file.no_cache),
    pull: isTrue(file.pull),
    network: file.network,
  });
}

function resolveDependsOn(file: ServiceFile["depends_on"]): Readonly<Record<string, DependsOn>> {
  if (file === undefined) return {};
  const entries: readonly (readonly [string, Exclude<typeof file, string[]>[string]])[] = Array.isArray(file)
    ? file.map((id) => [id, {}] as const)
    : Object.entries(file);
  return Object.fromEntries(
    entries.map(([id, dependency]) => [
      id,
      {
        condition: dependency.condition ?? "service_started",
        required: isTrue(dependency.required, true),
        restart: isTrue(dependency.restart),
      },
    ]),
  );
}

function resolveHealthcheck(scope: Scope, path: KeyPath, file: ServiceFile["healthcheck"]): Healthcheck | undefined {
  if (file === undefined) return undefined;
  const test = typeof file.test === "string" ? ["CMD-SHELL", file.test] : file.test;
  const form = test?.[0];
  if (form !== undefined && form !== "NONE" && form !== "CMD" && form !== "CMD-SHELL") {
    reportAt(scope, [...path, "test", 0], {
      code: "pipeline/invalid-healthcheck",
      message: `The list in \`healthcheck.test\` must start with CMD, CMD-SHELL or NONE, not ${JSON.stringify(form)}`,
      fix: 'Put "CMD" before the command.',
    });
  } else if (test !== undefined && form !== "NONE" && test.length < 2) {
    reportAt(scope, [...path, "test"], {
      code: "pipeline/invalid-healthcheck",
      message: `\`healthcheck.test\` has ${form}, but no command`,
      fix: "Add the command.",
    });
  }
  const milliseconds = (text: string | undefined) => (text === undefined ? undefined : parseDuration(text));
  return withoutUndefined<Healthcheck>({
    test,
    intervalMs: milliseconds(file.interval),
    timeoutMs: milliseconds(file.timeout),
    startPeriodMs: milliseconds(file.start_period),
    startIntervalMs: milliseconds(file.start_interval),
    retries: numberOf(file.retries),
    disable: isTrue(file.disable) || form === "NONE",
  });
}

function resolveExtraHosts(scope: Scope, path: KeyPath, file: ServiceFile["extra_hosts"]): readonly string[] {
  if (file === undefined) return [];
  if (!Array.isArray(file)) {
    return Object.entries(file).flatMap(([host, address]) =>
      (typeof address === "string" ? [address] : address).map((one) => `${host}:${bare(one)}`),
    );
  }
  return file.flatMap((item, index) => {
    const at = item.search(/[=:]/);
    if (at > 0 && at < item.length - 1) return [`${item.slice(0, at)}:${bare(item.slice(at + 1))}`];
    reportAt(scope, [...path, index], {
      code: "pipeline/invalid-extra-host",
      message: `Invalid entry ${JSON.stringify(item)}: expected host:address`,
      fix: "Use an entry such as `host.docker.internal:host-gateway`.",
    });
    return [];
  });
}

function bare(address: string): string {
  return address.replace(/^\[(.*)\]$/, "$1");
}

function resolveRestart(restart: string | false | undefined, otherwise: RestartPolicy["name"]): RestartPolicy {
  if (restart === undefined) return { name: otherwise };
  if (restart === false) return { name: "no" };
  const [name, retries] = restart.split(":");
  if (name === "on-failure") return retries === undefined ? { name } : { name, maxRetries: Number(retries) };
  return { name: name === "always" || name === "unless-stopped" ? name : "no" };
}

function resolveUlimits(file: ServiceFile["ulimits"]): ContainerSettings["ulimits"] {
  return Object.fromEntries(
    Object.entries(file ?? {}).map(([name, limit]) => [
      name,
      typeof limit === "object"
        ? { soft: Number(limit.soft), hard: Number(limit.hard) }
        : { soft: Number(limit), hard: Number(limit) },
    ]),
  );
}

type LimitsFile = {
  readonly cpus?: number | string | undefined;
  readonly memory?: number | string | undefined;
  readonly pids?: number | string | undefined;
};

function resolveLimits(file: LimitsFile | undefined): ResourceLimits {
  return withoutUndefined<ResourceLimits>({
    cpus: numberOf(file?.cpus),
    memoryBytes: file?.memory === undefined ? undefined : parseByteSize(file.memory),
    pids: numberOf(file?.pids),
  });
}

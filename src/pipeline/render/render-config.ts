import { stringify } from "yaml";
import { formatDuration } from "../../foundation/duration.ts";
import type { Component, ConfigFile, Network, Pipeline, Secret, Volume } from "../pipeline.ts";
import { sectionOf } from "../resolve/resolved.ts";
import { formatByteSize } from "../values/byte-size.ts";
import { containerFile, whenAny } from "./container-file.ts";

/**
 * The resolved pipeline as a pipeline file again: everything in its long form, paths absolute, defaults left out where
 * they are implied. Loading it in the same folder gives the same pipeline, but for `files`. Values of secrets are not
 * part of a pipeline, and so never in it; values of `environment` are.
 */
export function renderConfig(pipeline: Pipeline): string {
  return stringify(configFile(pipeline), { lineWidth: 0, aliasDuplicateObjects: false });
}

/** What `renderConfig` prints, as a plain object, for `--json`. */
export function configFile(pipeline: Pipeline): Readonly<Record<string, unknown>> {
  const components = (type: Component["type"]) =>
    byKey(
      pipeline.components.filter((component) => component.type === type).map((item) => [item.id, componentFile(item)]),
    );
  const services = pipeline.services.map((service) => [service.id, containerFile(service, "no")] as const);
  const file = {
    name: pipeline.name,
    ...(pipeline.driver === undefined ? {} : { driver: pipeline.driver }),
    ...whenAny(sectionOf("source"), components("source")),
    ...whenAny(sectionOf("processor"), components("processor")),
    ...whenAny(sectionOf("sink"), components("sink")),
    ...whenAny("services", byKey(services)),
    ...whenAny("schemas", pipeline.schemas),
    ...whenAny("secrets", mapValues(pipeline.secrets, secretFile)),
    ...whenAny("configs", mapValues(pipeline.configs, configSource)),
    ...whenAny("volumes", mapValues(pipeline.volumes, resourceFile)),
    ...whenAny("networks", mapValues(pipeline.networks, resourceFile)),
  };
  return escapeDollars(file) as Readonly<Record<string, unknown>>;
}

function componentFile(component: Component): Readonly<Record<string, unknown>> {
  const { onError } = component;
  const isDefault = onError.action === "fail" && onError.retries === 0 && onError.backoffMs === 1000;
  const { deploy, read_only, ...settings } = containerFile(component, "on-failure");
  const isBuiltin = component.uses !== undefined;
  return {
    ...(component.uses === undefined ? {} : { uses: component.uses }),
    ...whenAny("with", component.with),
    ...whenAny("inputs", component.inputs.map(inputFile)),
    ...whenAny("consumes", component.consumes),
    ...whenAny("produces", component.produces),
    ...(isDefault
      ? {}
      : {
          on_error: {
            action: onError.action,
            ...(onError.to === undefined ? {} : { to: onError.to }),
            retries: onError.retries,
            backoff: formatDuration(onError.backoffMs),
          },
        }),
    ...(component.partitionBy === undefined ? {} : { partition_by: component.partitionBy }),
    ...(component.inheritEnvironment ? { inherit_environment: true } : {}),
    ...whenAny("deploy", {
      ...(component.replicas === 1 ? {} : { replicas: component.replicas }),
      ...(typeof deploy === "object" ? deploy : {}),
    }),
    ...settings,
    ...(component.readOnly === isBuiltin ? {} : { read_only: component.readOnly }),
  };
}

function inputFile(input: Component["inputs"][number]): Readonly<Record<string, unknown>> {
  const { buffer } = input;
  return {
    from: input.from,
    ...whenAny("types", input.types),
    ...(buffer === undefined
      ? {}
      : {
          buffer: {
            type: buffer.type,
            ...(buffer.maxEvents === undefined ? {} : { max_events: buffer.maxEvents }),
            ...(buffer.maxBytes === undefined ? {} : { max_bytes: formatByteSize(buffer.maxBytes) }),
            when_full: buffer.whenFull,
          },
        }),
  };
}

function secretFile(secret: Secret): Readonly<Record<string, unknown>> {
  if (secret.kind === "environment") return { environment: secret.variable };
  if (secret.kind === "command") return { command: secret.argv };
  return secret.kind === "file" ? { file: secret.path } : { external: true, name: secret.name };
}

function configSource(config: ConfigFile): Readonly<Record<string, unknown>> {
  if (config.kind === "environment") return { environment: config.variable };
  return config.kind === "file" ? { file: config.path } : { content: config.content };
}

function resourceFile(resource: Volume | Network): Readonly<Record<string, unknown>> {
  return {
    ...(resource.name === undefined ? {} : { name: resource.name }),
    ...(resource.external ? { external: true } : {}),
    ...(resource.driver === undefined ? {} : { driver: resource.driver }),
    ...whenAny("driver_opts", resource.driverOpts),
    ...("internal" in resource && resource.internal ? { internal: true } : {}),
    ...whenAny("labels", resource.labels),
  };
}

function mapValues<T>(
  record: Readonly<Record<string, T>>,
  map: (value: T) => unknown,
): Readonly<Record<string, unknown>> {
  return byKey(Object.entries(record).map(([key, value]) => [key, map(value)] as const));
}

function byKey(entries: readonly (readonly [string, unknown])[]): Readonly<Record<string, unknown>> {
  return Object.fromEntries(entries);
}

/** Values were interpolated once and must come through a second time unchanged. */
function escapeDollars(value: unknown): unknown {
  if (typeof value === "string") return value.replaceAll("$", "$$$$");
  if (Array.isArray(value)) return value.map(escapeDollars);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, escapeDollars(item)]));
}

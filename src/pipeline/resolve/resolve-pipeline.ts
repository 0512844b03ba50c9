import { basename } from "node:path";
import { oneOf, suggestion } from "../../foundation/did-you-mean.ts";
import type { BuiltinCatalog } from "../catalog.ts";
import { builtinKey } from "../catalog.ts";
import type { Component, ComponentType, DriverName, Service } from "../pipeline.ts";
import type { KeyPath } from "../problem.ts";
import type { ComponentFile, ServiceFile } from "../schema/pipeline-file.ts";
import { resolveBuiltin } from "./resolve-builtin.ts";
import { resolveComponent } from "./resolve-component.ts";
import { resolveContainer } from "./resolve-container.ts";
import {
  resolveConfigs,
  resolveNetworks,
  resolveSchemas,
  resolveSecrets,
  resolveVolumes,
} from "./resolve-resources.ts";
import type { Resolved, ResolvedComponent, ResolvedService } from "./resolved.ts";
import { sectionOf } from "./resolved.ts";
import type { Scope } from "./scope.ts";
import { reportAt } from "./scope.ts";

/** What the caller of a load says besides the files. */
export interface ResolveOptions {
  readonly directory: string;
  readonly files: readonly string[];
  readonly profiles: readonly string[];
  readonly catalog: BuiltinCatalog;
  readonly driver?: DriverName | undefined;
  readonly name?: string | undefined;
  readonly replicas: Readonly<Record<string, number>>;
}

const types: readonly ComponentType[] = ["source", "processor", "sink"];

/** Gives everything in the file its final form. Values that cannot be understood are reported and left out. */
export async function resolvePipeline(scope: Scope, options: ResolveOptions): Promise<Resolved> {
  const { file } = scope;
  const components: ResolvedComponent[] = [];
  const driver = options.driver ?? file.driver;
  for (const type of types) {
    const section = sectionOf(type);
    for (const [id, componentFile] of Object.entries(file[section] ?? {})) {
      const path = [section, id];
      const asWritten = resolveComponent(scope, path, id, type, componentFile);
      const component = { ...asWritten, replicas: options.replicas[id] ?? asWritten.replicas };
      components.push({
        path,
        file: componentFile,
        active: isActive(componentFile, options.profiles),
        component: await completed(scope, path, component, { ...options, driver }),
      });
    }
  }
  const services = Object.entries(file.services ?? {}).map(([id, serviceFile]): ResolvedService => {
    const path = ["services", id];
    const service: Service = { id, replicas: 1, ...resolveContainer(scope, path, serviceFile, "no") };
    return { path, file: serviceFile, active: isActive(serviceFile, options.profiles), service };
  });
  const inactive = new Set([
    ...components.filter((item) => !item.active).map((item) => item.component.id),
    ...services.filter((item) => !item.active).map((item) => item.service.id),
  ]);
  return {
    components,
    services,
    pipeline: {
      name: options.name ?? file.name ?? nameFromFolder(options.directory),
      ...(driver === undefined ? {} : { driver }),
      directory: options.directory,
      files: options.files,
      components: components.filter((item) => item.active).map((item) => withoutInactive(item.component, inactive)),
      services: services.filter((item) => item.active).map((item) => withoutInactive(item.service, inactive)),
      secrets: resolveSecrets(scope),
      configs: resolveConfigs(scope),
      volumes: resolveVolumes(file.volumes),
      networks: resolveNetworks(file.networks),
      schemas: resolveSchemas(scope),
    },
  };
}

/** Nobody waits for what does not run; that this is allowed is checked elsewhere. */
function withoutInactive<T extends Component | Service>(item: T, inactive: ReadonlySet<string>): T {
  const dependsOn = Object.fromEntries(Object.entries(item.dependsOn).filter(([id]) => !inactive.has(id)));
  return { ...item, dependsOn };
}

async function completed(
  scope: Scope,
  path: KeyPath,
  component: Component,
  options: ResolveOptions,
): Promise<Component> {
  const { catalog } = options;
  if (component.uses === undefined) return component;
  const name = component.uses;
  const own = catalog.get(builtinKey(component.type, name));
  if (own !== undefined) return resolveBuiltin(scope, path, component, own, options);
  const spec = [...catalog.values()].find((item) => item.name === name);
  const section = sectionOf(component.type);
  const fitting = [...catalog.values()].filter((item) => item.type === component.type).map((item) => item.name);
  reportAt(scope, [...path, "uses"], {
    code: spec === undefined ? "pipeline/unknown-builtin" : "pipeline/wrong-section",
    message:
      spec === undefined
        ? `Unknown built-in ${component.type} \`${component.uses}\``
        : `The built-in \`${component.uses}\` is a ${spec.type} and cannot be used under \`${section}\``,
    fix:
      spec === undefined
        ? suggestion(component.uses, fitting, `Use ${oneOf(fitting)}.`)
        : `Move it to \`${sectionOf(spec.type)}\`, or use ${oneOf(fitting)}.`,
  });
  return component;
}

function isActive(file: ComponentFile | ServiceFile, profiles: readonly string[]): boolean {
  const own = file.profiles ?? [];
  return own.length === 0 || profiles.includes("*") || own.some((profile) => profiles.includes(profile));
}

/** A legal pipeline name from the name of a folder, as Compose makes project names. */
export function nameFromFolder(directory: string): string {
  const name = basename(directory)
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]/g, "")
    .replace(/^[_-]+/, "")
    .slice(0, 63);
  return name === "" ? "pipeline" : name;
}

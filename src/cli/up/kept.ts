import { gunzipSync, gzipSync } from "node:zlib";
import type { Deployment, DeploymentOptions, DesiredResource } from "../../drivers/driver.ts";
import { seal, sealedDigest, unseal } from "../../foundation/sealed.ts";
import type { Pipeline } from "../../pipeline/pipeline.ts";

/**
 * A pipeline that a command has carried out, with what is needed to carry it out again. Plain data. Values of secrets are not in
 * it: they are read again from where the pipeline says.
 */
export interface Kept {
  readonly pipeline: Pipeline;
  readonly options: DeploymentOptions;
  /** Absolute path of the file that stood for `.env`, where one did: values of secrets may be in it. */
  readonly envFile?: string;
  /** Id of the image of each component and service that has one of its own. */
  readonly images: Readonly<Record<string, string>>;
  /** Contents of configs, in base64. */
  readonly configs: Readonly<Record<string, string>>;
  /** Keyed digests of the values of secrets. */
  readonly secrets: Readonly<Record<string, string>>;
}

const FORMAT = 1;
const PURPOSE = "kept pipeline";

/** What is kept of a deployment, whose `resources` the driver has prepared. */
export function keptOf(
  deployment: Deployment,
  resources: readonly DesiredResource[],
  key: Uint8Array,
  envFile?: string,
): Kept {
  const { pipeline, options, configValues, secretValues } = deployment;
  return {
    pipeline,
    options,
    ...(envFile === undefined ? {} : { envFile }),
    images: Object.fromEntries(resources.flatMap(({ owner, image }) => (image === undefined ? [] : [[owner, image]]))),
    configs: Object.fromEntries([...configValues].map(([id, value]) => [id, Buffer.from(value).toString("base64")])),
    secrets: Object.fromEntries([...secretValues].map(([id, value]) => [id, sealedDigest(value, key, PURPOSE)])),
  };
}

/** As it is given to the control plane: nobody there, or who asks it, can read it. */
export function sealKept(kept: Kept, key: Uint8Array): Uint8Array {
  return seal(gzipSync(JSON.stringify({ format: FORMAT, ...kept })), key, PURPOSE);
}

/** Undefined for what was sealed with another key, or by a flowctl that keeps something else. */
export function openKept(sealed: Uint8Array, key: Uint8Array): Kept | undefined {
  const content = unseal(sealed, key, PURPOSE);
  if (content === undefined) return undefined;
  const { format, ...kept } = JSON.parse(gunzipSync(content).toString("utf8")) as Kept & { readonly format: number };
  return format === FORMAT ? kept : undefined;
}

/** The same with other instances and settings of some components: those that a command was about. */
export function withComponents(kept: Kept, newer: Kept, ids: ReadonlySet<string>): Kept {
  const components = new Map(newer.pipeline.components.map((component) => [component.id, component]));
  const images = Object.entries(newer.images).filter(([id]) => ids.has(id));
  return {
    ...kept,
    images: { ...kept.images, ...Object.fromEntries(images) },
    configs: { ...newer.configs, ...kept.configs },
    pipeline: {
      ...kept.pipeline,
      components: kept.pipeline.components.map((component) =>
        ids.has(component.id) ? (components.get(component.id) ?? component) : component,
      ),
    },
  };
}

/** Secrets whose values are not what they were, by name. */
export function changedSecrets(kept: Kept, values: Deployment["secretValues"], key: Uint8Array): readonly string[] {
  return [...values].filter(([id, value]) => kept.secrets[id] !== sealedDigest(value, key, PURPOSE)).map(([id]) => id);
}

import type { ResourceKey, ResourceKind } from "../../driver.ts";

/** The labels that hold all state of a pipeline on an engine, so that any flowctl on the host can work with it. */
export const LABEL = {
  pipeline: "dev.flowctl.pipeline",
  key: "dev.flowctl.key",
  kind: "dev.flowctl.kind",
  owner: "dev.flowctl.owner",
  index: "dev.flowctl.index",
  hash: "dev.flowctl.hash",
  /** Folder that the pipeline belongs to; no part of the hash. */
  folder: "dev.flowctl.folder",
  parts: "dev.flowctl.parts",
  version: "dev.flowctl.version",
  /** Names of the networks that a container has to be in. */
  networks: "dev.flowctl.networks",
  /** Reference of the image that a container was made from, for people. */
  image: "dev.flowctl.image",
  /** Files of the host that the container writes, which have to be there whenever it starts; as JSON. */
  files: "dev.flowctl.files",
  /** Paths of the files in a container that hold secrets, as JSON. */
  secrets: "dev.flowctl.secrets",
  /** Which authority what is in a container trusts; see authorityId. */
  authority: "dev.flowctl.authority",
  /** Prerequisites, for people and for tools. */
  depends: "dev.flowctl.depends",
  /** On images: hash of what is in the flowctl image. */
  content: "dev.flowctl.content",
} as const;

/** What labels say of a resource. */
export interface LabelledResource {
  readonly pipeline: string;
  readonly key: ResourceKey;
  readonly kind: ResourceKind;
  readonly owner: string;
  readonly index: number;
  readonly hash: string;
  readonly parts: Readonly<Record<string, string>>;
  readonly networks: readonly string[];
  readonly secrets: readonly string[];
  readonly folder?: string;
}

/** The labels of a resource. */
export function writeLabels(
  resource: Omit<LabelledResource, "networks" | "secrets"> & {
    readonly networks?: readonly string[];
    readonly secrets?: readonly string[];
    readonly version: string;
    readonly depends?: readonly string[];
    readonly image?: string;
    readonly authority?: string;
  },
): Record<string, string> {
  return {
    [LABEL.pipeline]: resource.pipeline,
    [LABEL.key]: resource.key,
    [LABEL.kind]: resource.kind,
    [LABEL.owner]: resource.owner,
    [LABEL.index]: String(resource.index),
    [LABEL.hash]: resource.hash,
    [LABEL.parts]: JSON.stringify(resource.parts),
    [LABEL.version]: resource.version,
    ...(resource.folder === undefined ? {} : { [LABEL.folder]: resource.folder }),
    ...(resource.networks === undefined ? {} : { [LABEL.networks]: resource.networks.join(",") }),
    ...(resource.secrets === undefined || resource.secrets.length === 0
      ? {}
      : { [LABEL.secrets]: JSON.stringify(resource.secrets) }),
    ...(resource.image === undefined ? {} : { [LABEL.image]: resource.image }),
    ...(resource.authority === undefined ? {} : { [LABEL.authority]: resource.authority }),
    ...(resource.depends === undefined ? {} : { [LABEL.depends]: resource.depends.join(",") }),
  };
}

const KINDS: readonly string[] = [
  "network",
  "volume",
  "engine-access",
  "control-plane",
  "service",
  "component",
] satisfies ResourceKind[];

/** Reads the labels of a resource; undefined when flowctl did not make it. A damaged hash or parts count as unknown. */
export function readLabels(labels: Readonly<Record<string, string>> | null | undefined): LabelledResource | undefined {
  const pipeline = labels?.[LABEL.pipeline];
  const key = labels?.[LABEL.key];
  const kind = labels?.[LABEL.kind];
  if (labels == null || !pipeline || !key || !kind || !KINDS.includes(kind)) return undefined;
  return {
    pipeline,
    key: key as ResourceKey,
    kind: kind as ResourceKind,
    owner: labels[LABEL.owner] ?? key.slice(key.indexOf("/") + 1),
    index: Number.parseInt(labels[LABEL.index] ?? "0", 10) || 0,
    hash: labels[LABEL.hash] ?? "",
    parts: readParts(labels[LABEL.parts]),
    networks: (labels[LABEL.networks] ?? "").split(",").filter((name) => name !== ""),
    secrets: readPaths(labels[LABEL.secrets]),
    ...(labels[LABEL.folder] ? { folder: labels[LABEL.folder] as string } : {}),
  };
}

/** The filter that selects what belongs to one pipeline, or to any. */
export function pipelineFilter(pipeline?: string): { label: string[] } {
  return { label: [pipeline === undefined ? LABEL.pipeline : `${LABEL.pipeline}=${pipeline}`] };
}

function readPaths(text: string | undefined): readonly string[] {
  try {
    const parsed: unknown = JSON.parse(text ?? "[]");
    return Array.isArray(parsed) ? parsed.filter((path) => typeof path === "string") : [];
  } catch {
    return [];
  }
}

function readParts(text: string | undefined): Readonly<Record<string, string>> {
  try {
    const parsed: unknown = JSON.parse(text ?? "{}");
    return typeof parsed === "object" && parsed !== null ? (parsed as Record<string, string>) : {};
  } catch {
    return {};
  }
}

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FlowctlError } from "../foundation/errors.ts";
import { silentLogger } from "../foundation/logger.ts";
import { eventIdPrefix } from "../sdk/event-ids.ts";
import type {
  ComponentContext,
  ComponentDefinition,
  Event,
  EventInit,
  InstanceInfo,
  Logger,
  Partition,
  SourceHandlers,
} from "../sdk/index.ts";

/** An event as a component would receive it. */
export function anEvent(init: EventInit & { readonly upstream?: string } = {}): Event {
  const payload =
    init.json === undefined
      ? typeof init.payload === "string"
        ? Buffer.from(init.payload)
        : (init.payload ?? new Uint8Array())
      : Buffer.from(JSON.stringify(init.json));
  return {
    id: init.id ?? "event-1",
    type: init.type ?? "test",
    payload,
    metadata: init.metadata ?? {},
    timestamp: init.timestamp ?? undefined,
    sourceComponentId: "feed",
    upstream: init.upstream ?? "feed",
    contentType: init.contentType ?? (init.json === undefined ? "" : "application/json"),
    size: payload.length,
    json: () => {
      const text = Buffer.from(payload).toString();
      try {
        return JSON.parse(text) as unknown;
      } catch (cause) {
        throw new FlowctlError({ code: "sdk/payload-not-json", kind: "invalid", message: "not JSON", cause });
      }
    },
    text: () => Buffer.from(payload).toString(),
  };
}

/** The payload of what a component emitted, as text. */
export function payloadText(init: EventInit): string {
  if (init.json !== undefined) return JSON.stringify(init.json);
  return typeof init.payload === "string" ? init.payload : Buffer.from(init.payload ?? []).toString();
}

/** The payload of what a component emitted, parsed. */
export function payloadJson(init: EventInit): unknown {
  return init.json === undefined ? JSON.parse(payloadText(init)) : JSON.parse(JSON.stringify(init.json));
}

export interface HarnessOptions {
  readonly config: Record<string, unknown>;
  readonly stateDirectory?: string;
  readonly instance?: Partial<InstanceInfo>;
  readonly secrets?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  readonly log?: Logger;
  readonly degraded?: (reason: string) => void;
}

function contextOf(definition: ComponentDefinition, options: HarnessOptions): ComponentContext<unknown> {
  return {
    config: definition.definition.config?.parse(options.config) ?? {},
    log: options.log ?? silentLogger,
    signal: options.signal ?? new AbortController().signal,
    instance: {
      pipeline: "test",
      componentId: "part",
      instanceId: "part-1",
      index: 1,
      replicas: 1,
      ...options.instance,
    },
    secret: async (name) => {
      const value = options.secrets?.[name];
      if (value !== undefined) return value;
      throw new FlowctlError({ code: "sdk/secret-missing", kind: "not-found", message: `no secret ${name}` });
    },
    stateDirectory: options.stateDirectory ?? "/nonexistent",
    degraded: options.degraded ?? (() => undefined),
  };
}

/** One event that a source emitted, with where to go on after it. */
export interface Emitted {
  readonly event: EventInit;
  readonly position: unknown;
}

export interface SourceOptions extends HarnessOptions {
  /** Left out: the first that the source names. */
  readonly partition?: Partition;
  /** As JSON: what a checkpoint gives back. */
  readonly position?: unknown;
  /** Called for each event; what it throws, `emit` rejects with. */
  readonly onEmit?: (emitted: Emitted, handlers: SourceHandlers<unknown>) => Promise<void> | void;
}

/** Runs a source until it ends, and returns what it emitted. */
export async function runSource(definition: ComponentDefinition, options: SourceOptions): Promise<Emitted[]> {
  if (definition.type !== "source") throw new Error("not a source");
  const position = options.position === undefined ? undefined : JSON.parse(JSON.stringify(options.position));
  const context = contextOf(definition, options);
  const partitions = await definition.definition.partitions?.({ config: context.config });
  const partition = options.partition ?? partitions?.[0] ?? { id: "", identity: "" };
  const idPrefix = eventIdPrefix(context.instance.componentId, partition);
  const handlers = await definition.definition.open({ ...context, position, partition, idPrefix });
  const emitted: Emitted[] = [];
  try {
    await handlers.run(async (event, at) => {
      const one = { event, position: JSON.parse(JSON.stringify(at)) as unknown };
      emitted.push(one);
      await options.onEmit?.(one, handlers);
    });
  } finally {
    await handlers.close?.();
  }
  return emitted;
}

/** An event of one of several partitions. */
export interface PartitionEmitted extends Emitted {
  readonly partition: string;
}

export interface PartitionsOptions extends Omit<SourceOptions, "position" | "partition" | "onEmit"> {
  /** By the id of the partition. */
  readonly positions?: Readonly<Record<string, unknown>>;
  /** Those that this instance reads; left out: all. */
  readonly only?: (id: string) => boolean;
  readonly onEmit?: (emitted: PartitionEmitted) => Promise<void> | void;
}

/** Runs the partitions of a source side by side, as one instance would, and returns what they emitted, in order. */
export async function runPartitions(
  definition: ComponentDefinition,
  options: PartitionsOptions,
): Promise<PartitionEmitted[]> {
  if (definition.type !== "source") throw new Error("not a source");
  const config = definition.definition.config!.parse(options.config);
  const { onEmit, only, positions, ...same } = options;
  const emitted: PartitionEmitted[] = [];
  const partitions = (await definition.definition.partitions?.({ config })) ?? [];
  await Promise.all(
    partitions
      .filter(({ id }) => only?.(id) ?? true)
      .map((partition) =>
        runSource(definition, {
          ...same,
          // Each has a signal of its own, as in a program.
          signal: AbortSignal.any(same.signal === undefined ? [] : [same.signal]),
          partition,
          position: positions?.[partition.id],
          async onEmit(one) {
            const from = { ...one, partition: partition.id };
            emitted.push(from);
            await onEmit?.(from);
          },
        }),
      ),
  );
  return emitted;
}

/** Sends events through a processor, and returns what it emitted. */
export async function runProcessor(
  definition: ComponentDefinition,
  options: HarnessOptions,
  events: readonly Event[],
): Promise<(Event | EventInit)[]> {
  if (definition.type !== "processor") throw new Error("not a processor");
  const handlers = await definition.definition.open(contextOf(definition, options));
  const emitted: (Event | EventInit)[] = [];
  for (const event of events) await handlers.process(event, async (out) => void emitted.push(out));
  await handlers.close?.();
  return emitted;
}

/** Writes batches to a sink; closes it unless one is refused. */
export async function runSink(
  definition: ComponentDefinition,
  options: HarnessOptions,
  batches: readonly (readonly Event[])[],
): Promise<void> {
  if (definition.type !== "sink") throw new Error("not a sink");
  const handlers = await definition.definition.open(contextOf(definition, options));
  try {
    for (const batch of batches) await handlers.write(batch);
  } finally {
    await handlers.close?.();
  }
}

/** A folder that is gone when the scope ends. */
export async function temporaryDirectory(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), "flowctl-components-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

import type { z } from "zod";
import type { Event, EventInit } from "./event.ts";
import type { Logger } from "./logger.ts";

/** What every component declares. */
interface Definition<Config> {
  /** Shown by `flowctl ps` and `status`. */
  readonly name: string;
  readonly version: string;
  /**
   * A zod schema for `with:` in the pipeline file. An invalid value stops the component with a message that names it. Without
   * a schema, the component has no settings, and any setting is an error.
   */
  readonly config?: z.ZodType<Config>;
  /** Event types that the component consumes and produces. Default: any. */
  readonly consumes?: readonly string[];
  readonly produces?: readonly string[];
}

/** The settings of a component without settings: an empty object. */
export type NoConfig = Readonly<Record<string, never>>;

/** What a component receives when it is opened. */
export interface ComponentContext<Config> {
  readonly config: Config;
  readonly log: Logger;
  /**
   * Fires when the component must stop: accept nothing new, finish the work in progress, return. An event whose processing
   * is aborted because of it, with the reason of this signal or an AbortError as the cause, is not a bad event: it is
   * delivered again after the restart.
   */
  readonly signal: AbortSignal;
  readonly instance: InstanceInfo;
  /** Reads a secret that the pipeline file grants to the component. Rejects with `sdk/secret-missing` for any other. */
  secret(name: string): Promise<string>;
  /**
   * Absolute path of a folder for this instance only. It survives restarts and replacement; `flowctl down -v` deletes it.
   */
  readonly stateDirectory: string;
  /** Marks the instance as degraded until it is called with an empty reason. */
  degraded(reason: string): void;
}

export interface InstanceInfo {
  readonly pipeline: string;
  readonly componentId: string;
  readonly instanceId: string;
  /** From 1 to `replicas`. Do not derive from it what to read: use partitions for that. */
  readonly index: number;
  /** The desired number of instances when this one was started. Scaling neither updates it nor restarts the instance. */
  readonly replicas: number;
}

/**
 * A source: reads events from an external system. `Position` is plain JSON that says where to resume.
 *
 * A source is read in *partitions*, such as files, shards or queues. A source that declares none has a single partition, which
 * one of its instances reads while the others are on standby. The control plane assigns each partition to one instance at a
 * time, and moves partitions when the component is scaled. A position belongs to the partition, not to the instance.
 *
 * Call order for each assigned partition: `open` once; `run` once; `committed` any number of times, never concurrently; `close`
 * once, in any case. Partitions are read concurrently. A partition that was moved away can be assigned again, and is then opened
 * again. `run` returns at the end of the data (once all partitions have ended, the pipeline drains and completes) or soon after
 * the signal fires (another run continues from the last acknowledged position); it may also reject then, with the reason of the
 * signal or an AbortError. Any other rejection of any of these functions stops the component with that error as its last log
 * line, and the component is restarted.
 */
export interface SourceDefinition<Config, Position> extends Definition<Config> {
  /**
   * The partitions to read, derived from the settings: the same list in every instance. Called before `open`. Between 1 and
   * 4,096 partitions with unique ids. Default: one partition with an empty id and identity.
   */
  partitions?(context: { readonly config: Config }): readonly Partition[] | Promise<readonly Partition[]>;
  open(context: SourceContext<Config, Position>): Promise<SourceHandlers<Position>> | SourceHandlers<Position>;
}

/** A part of the source that only one instance reads at a time. */
export interface Partition {
  /** Unique within the component, and the same on every start. */
  readonly id: string;
  /**
   * What exactly is read, such as a path, a URL or a seed. Positions are stored per id and identity: with a new identity, the
   * partition is read from the beginning, and its events have different ids; with an earlier identity, reading resumes where it
   * stopped. Must not contain secrets, as it is displayed.
   */
  readonly identity: string;
}

export interface SourceContext<Config, Position> extends ComponentContext<Config> {
  /** Where to resume: the position of the last event up to which all downstream components have acknowledged every event. */
  readonly position: Position | undefined;
  /** The partition to read. */
  readonly partition: Partition;
  /**
   * Prefix for event ids that the source sets itself: always the same for this partition and identity, and different for every
   * other.
   */
  readonly idPrefix: string;
  /** Fires when the component must stop, and when this partition is assigned to another instance. */
  readonly signal: AbortSignal;
}

export interface SourceHandlers<Position> {
  run(emit: SourceEmit<Position>): Promise<void>;
  /**
   * Every event of the partition up to this position is acknowledged, and the position is stored durably: the external system
   * can now be informed (commit an offset, answer a request, delete a file). Positions may be skipped, but never go back.
   */
  committed?(position: Position): Promise<void>;
  close?(): Promise<void>;
}

/**
 * Sends an event downstream. Resolves when there is room for it: await it for backpressure. `position` is where to resume after
 * this event, as it is now: an object may be changed afterwards. Unless the event has an id, the id is derived from the position, so
 * that a replay has the same ids. Rejects with `sdk/stopped` once the component must no longer emit, and with
 * `sdk/position-invalid` where JSON cannot hold the position.
 */
export type SourceEmit<Position> = (event: EventInit, position: Position) => Promise<void>;

/**
 * A processor: produces any number of events from each input event.
 *
 * Call order: `open` once; `process` for each event, one at a time unless `concurrency` is set; `close` once. An input event is
 * acknowledged when `process` has resolved and all downstream components have acknowledged everything it emitted; an input event
 * for which nothing is emitted is dropped. If `process` rejects, the event is a bad event, and `on_error` decides, unless the
 * cause is an outage (a full disk, an unreachable service), which is not the fault of the event: after the `retries` of
 * `on_error`, the component then stops and is restarted. Error codes of Node.js, PostgreSQL and gRPC are recognized as outages;
 * for others, throw a FlowctlError of kind `unavailable`. Throw one of kind `invalid` if the event is at fault whatever the
 * cause, for example for an address taken from the event.
 */
export interface ProcessorDefinition<Config> extends Definition<Config> {
  /** Number of events to process concurrently. Default: 1, which preserves their order. */
  readonly concurrency?: number;
  open(context: ComponentContext<Config>): Promise<ProcessorHandlers> | ProcessorHandlers;
}

export interface ProcessorHandlers {
  process(event: Event, emit: ProcessorEmit): Promise<void> | void;
  close?(): Promise<void>;
}

/**
 * Sends an event downstream: the received event itself (forwarded byte for byte, with its id), or a new one. A new event inherits
 * type, timestamp, metadata and content type from the input event unless they are set. Its default id is
 * `<input id>/<component id>`, with `.1`, `.2` … for the second and later outputs of an input event: the same on every replay, and
 * different on every path through the pipeline. Resolves when there is room for the event: await it. Rejects with
 * `sdk/emit-too-late` after `process` has returned, as the event could be lost.
 */
export type ProcessorEmit = (event: Event | EventInit) => Promise<void>;

/**
 * A sink: writes events to an external system.
 *
 * Call order: `open` once; `write` with one batch at a time; `close` once, after the last `write`. When `write` resolves, its
 * events must be stored durably, and they are acknowledged. If `write` rejects, `on_error` decides for each event separately (the
 * batch is retried event by event, so that a bad event affects only itself), unless the cause is an outage (a full disk, an
 * unreachable database), which is not the fault of an event: after the `retries` of `on_error`, the component then stops and is
 * restarted. Error codes of Node.js, PostgreSQL and gRPC are recognized as outages; for others (such as an HTTP server that
 * returns 503), throw a FlowctlError of kind `unavailable`.
 */
export interface SinkDefinition<Config> extends Definition<Config> {
  /** Limits of a batch; a batch is never delayed to fill it. Default: 2,048 events, 4 MiB. */
  readonly batch?: { readonly maxEvents?: number; readonly maxBytes?: number };
  open(context: ComponentContext<Config>): Promise<SinkHandlers> | SinkHandlers;
}

export interface SinkHandlers {
  write(events: readonly Event[]): Promise<void>;
  close?(): Promise<void>;
}

/** A component to run with `run`. Created by `defineSource`, `defineProcessor` and `defineSink`. */
export type ComponentDefinition =
  | { readonly type: "source"; readonly definition: SourceDefinition<unknown, unknown> }
  | { readonly type: "processor"; readonly definition: ProcessorDefinition<unknown> }
  | { readonly type: "sink"; readonly definition: SinkDefinition<unknown> };

export function defineSource<Config = NoConfig, Position = unknown>(
  definition: SourceDefinition<Config, Position>,
): ComponentDefinition {
  return { type: "source", definition: definition as SourceDefinition<unknown, unknown> };
}

export function defineProcessor<Config = NoConfig>(definition: ProcessorDefinition<Config>): ComponentDefinition {
  return { type: "processor", definition: definition as ProcessorDefinition<unknown> };
}

export function defineSink<Config = NoConfig>(definition: SinkDefinition<Config>): ComponentDefinition {
  return { type: "sink", definition: definition as SinkDefinition<unknown> };
}

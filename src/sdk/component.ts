import type { z } from "zod";
import type { Event, EventInit } from "./event.ts";
import type { Logger } from "./logger.ts";

/** What every component says of itself. */
interface Definition<Config> {
  /** Shown by `flowctl ps` and `status`. */
  readonly name: string;
  readonly version: string;
  /**
   * A zod schema for what the pipeline file says under `with:`. A wrong value ends the component with a clear message. Left
   * out: there are no settings, and any that are given are wrong.
   */
  readonly config?: z.ZodType<Config>;
  /** Event types it takes and gives; left out means any. */
  readonly consumes?: readonly string[];
  readonly produces?: readonly string[];
}

/** The settings of a component that has none: an empty object. */
export type NoConfig = Readonly<Record<string, never>>;

/** What a component finds when it opens. */
export interface ComponentContext<Config> {
  readonly config: Config;
  readonly log: Logger;
  /**
   * Fires when the component is told to stop: take nothing new, finish what was begun, return. What is given up because of
   * it, with this signal's reason or an AbortError as the cause, is no bad event: it comes again after the restart.
   */
  readonly signal: AbortSignal;
  readonly instance: InstanceInfo;
  /** Reads a secret that the pipeline file grants. Rejects with `sdk/secret-missing`. */
  secret(name: string): Promise<string>;
  /**
   * Absolute folder of this instance's own. It survives restarts and replacement, and goes with `flowctl down -v`.
   */
  readonly stateDirectory: string;
  /** Marks the instance as working, but not well (shown as degraded), until called with an empty reason. */
  degraded(reason: string): void;
}

export interface InstanceInfo {
  readonly pipeline: string;
  readonly componentId: string;
  readonly instanceId: string;
  /** From 1 to `replicas`. Says nothing of what to read: that is what partitions are for. */
  readonly index: number;
  /** How many instances there were to be when this one was started. Scaling neither updates it nor restarts the instance. */
  readonly replicas: number;
}

/**
 * A source: makes events out of something outside. `Position` is plain JSON that says where to go on.
 *
 * A source is read in *partitions*: a file, a shard, a queue. One that names none is one partition, which one of its instances
 * reads while the others stand by. The control plane gives each partition to one instance at a time and moves some when the
 * component is scaled; a position belongs to what is read, and to nobody who reads it.
 *
 * Call order, for each partition that this instance is given: `open` once; `run` once; `committed` any number of times, never
 * two at once; `close` once, whatever happened before. Partitions are read side by side; a partition that was moved away may
 * come back, and is opened anew. `run` returns when the data of its partition has ended (once all have, the pipeline drains and
 * completes) or soon after the signal fires (a successor goes on from the last acknowledged position); it may also reject then,
 * with the signal's reason or an AbortError. Any other rejection of any of them ends the component with that error as its last
 * line, and it is started again.
 */
export interface SourceDefinition<Config, Position> extends Definition<Config> {
  /**
   * What there is to read, as far as the settings say: the same list at every instance. Called before `open`. At least one, at
   * most 4,096; ids are unique. Left out: one partition, with an empty id and identity.
   */
  partitions?(context: { readonly config: Config }): readonly Partition[] | Promise<readonly Partition[]>;
  open(context: SourceContext<Config, Position>): Promise<SourceHandlers<Position>> | SourceHandlers<Position>;
}

/** Something that one instance of a source reads at a time. */
export interface Partition {
  /** Unique within the component, and the same at every start. */
  readonly id: string;
  /**
   * What exactly is read: a path, a URL, a seed. Positions are kept by id and identity: with another identity the partition is
   * read from its beginning, and its events have other ids; with an earlier one it goes on where it was. No secrets: it is shown.
   */
  readonly identity: string;
}

export interface SourceContext<Config, Position> extends ComponentContext<Config> {
  /** Where to go on: the position given with the last event that everything below acknowledged, in order. */
  readonly position: Position | undefined;
  /** What is to be read. */
  readonly partition: Partition;
  /**
   * What the ids of this partition's events begin with, for who makes ids: the same wherever and whenever it is read, and another
   * one for every partition and identity.
   */
  readonly idPrefix: string;
  /** Fires when the component is told to stop, and also when this partition is to be read by another instance. */
  readonly signal: AbortSignal;
}

export interface SourceHandlers<Position> {
  run(emit: SourceEmit<Position>): Promise<void>;
  /**
   * Every event of the partition up to this position is acknowledged, and the position is durable: now the outside may be told (commit
   * an offset, answer a request, delete a file). Positions may be skipped, never go back.
   */
  committed?(position: Position): Promise<void>;
  close?(): Promise<void>;
}

/**
 * Hands one event on. Resolves when there is room, which is the backpressure: await it. `position` is where to go on
 * after this event; the id of the event, unless given, is made from it, so that a replay has the same ids. Rejects
 * with `sdk/stopped` once the component must not emit any more.
 */
export type SourceEmit<Position> = (event: EventInit, position: Position) => Promise<void>;

/**
 * A processor: makes any number of events out of each event.
 *
 * Call order: `open` once; `process` for each event, one after the other unless `concurrency` says otherwise; `close`
 * once. An input is acknowledged when `process` has resolved and all it emitted is acknowledged by everything below;
 * emitting nothing drops it. A rejection is a bad event: the component's `on_error` decides; unless an outage is its cause
 * (a disk that is full, a service that cannot be reached), which is no event's fault: after the `retries` of `on_error` the
 * component then ends, and is started again. Node.js, PostgreSQL and gRPC say that by their codes; what they do not know of,
 * say with a FlowctlError of kind `unavailable`. One of kind `invalid` says that the event is to blame, whatever its cause:
 * for an address that was taken out of the event.
 */
export interface ProcessorDefinition<Config> extends Definition<Config> {
  /** Events processed at once, from 1 (the default, which keeps their order). */
  readonly concurrency?: number;
  open(context: ComponentContext<Config>): Promise<ProcessorHandlers> | ProcessorHandlers;
}

export interface ProcessorHandlers {
  process(event: Event, emit: ProcessorEmit): Promise<void> | void;
  close?(): Promise<void>;
}

/**
 * Hands one event on: the received event itself (forwarded as the bytes it came in, with its id), or a new one. A new
 * event inherits type, timestamp, metadata and content type from the input unless it says otherwise. Its id, unless
 * given, is `<input id>/<component id>`, with `.1`, `.2` … for the second and later outputs of one input: the same on
 * every replay, and another one on every path through the pipeline. Resolves when there is room: await it. Rejects with
 * `sdk/emit-too-late` when `process` is over: what it made could be lost.
 */
export type ProcessorEmit = (event: Event | EventInit) => Promise<void>;

/**
 * A sink: puts events somewhere.
 *
 * Call order: `open` once; `write` with one batch at a time; `close` once, after the last `write`. When `write`
 * resolves its events count as durable and are acknowledged. A rejection: `on_error` decides, for each event by
 * itself (the batch is tried again event by event, so that one bad event costs one event); unless an outage is its cause (a
 * disk that is full, a database that cannot be reached), which is no event's fault: after the `retries` of `on_error` the
 * component then ends, and is started again. Node.js, PostgreSQL and gRPC say that by their codes; what they do not know of
 * (an HTTP server that answers 503), say with a FlowctlError of kind `unavailable`.
 */
export interface SinkDefinition<Config> extends Definition<Config> {
  /** Limits of one batch; a batch is never held back to fill it. Default 2,048 events, 4 MiB. */
  readonly batch?: { readonly maxEvents?: number; readonly maxBytes?: number };
  open(context: ComponentContext<Config>): Promise<SinkHandlers> | SinkHandlers;
}

export interface SinkHandlers {
  write(events: readonly Event[]): Promise<void>;
  close?(): Promise<void>;
}

/** A component that can be run with `run`. Made by `defineSource`, `defineProcessor` and `defineSink`. */
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

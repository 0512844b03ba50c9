import { dirname } from "node:path";
import { marksPathOf } from "../../event-files/replay-marks.ts";
import type { Component, Pipeline } from "../../pipeline/pipeline.ts";
import type { LetterSink } from "./letter-files.ts";

const infix = "-replay-";
/** A longer id may be none on the network of a container. */
const longestBase = 40;

/** Ids of replays are never the same, so that none goes on where another one stopped. */
export function replayId(component: string, now: number): string {
  return `${component.slice(0, longestBase)}${infix}${now.toString(36)}`;
}

/** Whether a file, of which the name says that flowctl wrote it, holds the letters of a replay. */
export function isSelection(name: string): boolean {
  return /-replay-[0-9a-z]+$/.test(name);
}

/** The source that sends the letters in the file `selection`, which lies beside the letters of `sink`. */
export function replaySource(id: string, sink: LetterSink, selection: string, target: Component): Component {
  return {
    id,
    type: "source",
    uses: "dead-letters",
    with: { path: selection, marks: marksPathOf(sink.path) },
    hostPaths: [{ path: dirname(sink.path), access: "write" }],
    inputs: [],
    consumes: [],
    produces: [],
    replicas: 1,
    onError: { action: "fail", retries: 0, backoffMs: 0 },
    environment: {},
    dependsOn: {},
    labels: {},
    networks: target.networks,
    ports: [],
    mounts: [],
    tmpfs: [],
    secrets: [],
    configs: [],
    extraHosts: [],
    readOnly: false,
    restart: { name: "on-failure", maxRetries: 5 },
    stopGracePeriodMs: 10_000,
    ulimits: {},
    limits: {},
    reservations: {},
  };
}

/** The pipeline in which `target` gets the events of `source`, too. */
export function withReplay(pipeline: Pipeline, source: Component, target: string): Pipeline {
  const components = pipeline.components.map((component) =>
    component.id === target
      ? { ...component, inputs: [...component.inputs, { from: source.id, types: [] }] }
      : component,
  );
  return { ...pipeline, components: [source, ...components] };
}

/** The pipeline of the source alone: to make it ready has nothing to do with the others. */
export function onlyReplay(pipeline: Pipeline, source: Component): Pipeline {
  return { ...pipeline, components: [source], services: [] };
}

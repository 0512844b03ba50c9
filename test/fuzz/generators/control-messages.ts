import { pipelineControl } from "../../../src/protocol/control-messages.ts";
import { componentRegistry } from "../../../src/protocol/registry-messages.ts";
import type { Method } from "../../../src/protocol/service-methods.ts";
import type { Random } from "../../chaos/harness/random.ts";
import type { NotDemanded } from "../not-demanded.ts";
import { hostileNumber, hostileText } from "./values.ts";

/** An encoded request, valid as far as its encoding goes. */
export interface RequestMessage {
  readonly path: string;
  readonly bytes: Buffer;
  /** Whether damaged bytes of it can do no more than whole ones. */
  readonly mayBeDamaged: boolean;
}

/** Whom the attacker may speak for, and whom not. */
export const LIAR = { pipeline: "p", componentId: "liar", instanceId: "liar-1" };
export const HONEST = { pipeline: "p", componentId: "feed", instanceId: "feed-1" };

const registry = componentRegistry;
const control = pipelineControl;

type Make = (random: Random) => RequestMessage;

/** What the attacker sends in its own name, or in nobody's, and what has to be refused. */
const demanded: Readonly<Record<string, Make>> = {
  register: (random) =>
    request(registry.registerComponent, {
      ...speaker(random),
      type: random.pick(["COMPONENT_TYPE_SOURCE", "COMPONENT_TYPE_SOURCE", "COMPONENT_TYPE_SINK"]),
      address: address(random),
      healthEndpoint: random.chance(0.3) ? address(random) : "",
      metadata: texts(random),
      consumes: list(random),
      produces: list(random),
      features: list(random),
      partitions: random.chance(0.3) ? list(random).map((id) => ({ id, identity: text(random) })) : [],
      held: random.chance(0.2) ? [{ partition: text(random), identity: text(random), epoch: number(random) }] : [],
    }),
  heartbeat: (random) =>
    request(registry.heartbeat, {
      ...speaker(random),
      metrics: metrics(random),
      degradedReason: text(random),
      drainedGroups: list(random),
      settledMarks: numbers(random),
      heardMark: number(random),
    }),
  deregister: (random) =>
    request(registry.deregisterComponent, {
      ...speaker(random),
      reason: random.pick(["DEREGISTER_REASON_STOPPED", "DEREGISTER_REASON_COMPLETED", "DEREGISTER_REASON_FAILED"]),
      message: text(random),
      metrics: metrics(random),
    }),
  save: (random) =>
    request(registry.saveCheckpoint, {
      ...speaker(random),
      position: Buffer.alloc(random.below(200), random.below(256)),
      partition: text(random),
      identity: text(random),
      state: random.pick(["STATE_UNSPECIFIED", "STATE_RELEASED", "STATE_FINISHED"]),
      epoch: number(random),
    }),
  "honest, wrong incarnation": (random) => {
    const who = { ...HONEST, incarnation: hostileText(random) };
    const method = random.pick([registry.heartbeat, registry.deregisterComponent, registry.saveCheckpoint]);
    return request(method as Method<object, object>, {
      ...who,
      reason: "DEREGISTER_REASON_COMPLETED",
      metrics: metrics(random),
      position: Buffer.from("gone"),
      state: "STATE_FINISHED",
    });
  },
  "honest, wrong pipeline": (random) =>
    request(registry.registerComponent, {
      ...HONEST,
      pipeline: `q${hostileText(random)}`,
      incarnation: hostileText(random),
      type: "COMPONENT_TYPE_SOURCE",
      address: "127.0.0.1:1",
    }),
  watch: (random) => request(registry.watchTopology, random.chance(0.5) ? LIAR : { ...LIAR, instanceId: text(random) }),
  components: (random) => request(registry.getComponents, { type: hostileText(random) }),
  status: (random) => request(registry.getComponentStatus, { componentId: text(random) }),
  check: (random) => request(control.checkPipeline, { spec: specOf(random), existing: list(random), discard: true }),
  "apply another's": (random) =>
    request(control.applyPipeline, { spec: { ...specOf(random), name: `zzzz${hostileText(random)}` }, discard: true }),
  "apply no specification": (random) => request(control.applyPipeline, { operation: number(random) }),
  pipeline: () => request(control.getPipeline, {}),
  events: (random) => request(control.watchEvents, { after: number(random), noFollow: random.chance(0.8) }),
  // Damaged it could name everybody.
  desire: (random) => ({
    ...request(control.setDesiredState, {
      running: list(random),
      stopped: [...list(random), "liar-1"],
      renewed: list(random),
      started: list(random),
      operation: number(random),
    }),
    mayBeDamaged: false,
  }),
  hold: (random) => ({
    ...request(control.holdOperation, {
      command: text(random),
      holder: text(random),
      unchangedSince: number(random),
      unchangedForMs: number(random),
    }),
    mayBeDamaged: false,
  }),
  keep: (random) => request(control.keepPipeline, { content: Buffer.alloc(random.below(2_000)) }),
  kept: () => request(control.getKeptPipeline, {}),
  replay: (random) =>
    request(control.replayEvents, {
      componentId: random.pick(["liar", "archive", "idle", text(random)]),
      events: list(random).map((part) => Buffer.from(part)),
    }),
  report: (random) =>
    request(control.reportInstance, {
      componentId: random.pick(["liar", text(random)]),
      instanceId: random.pick(["liar-1", text(random)]),
      observation: random.pick([
        "OBSERVATION_STARTED",
        "OBSERVATION_EXITED",
        "OBSERVATION_STOPPING",
        "OBSERVATION_REMOVED",
      ]),
      exitCode: random.between(-3, 300),
      message: text(random),
    }),
};

/** In the attacker's own name, and as large as a message may be. */
const large: readonly Make[] = [
  (random) =>
    request(registry.registerComponent, {
      ...LIAR,
      incarnation: `run-${random.below(1_000)}`,
      type: "COMPONENT_TYPE_SOURCE",
      address: "127.0.0.1:1",
      metadata: { much: "x".repeat(random.below(4_000_000)) },
    }),
  (random) =>
    request(registry.registerComponent, {
      ...LIAR,
      incarnation: `${random.below(1_000)}`.repeat(100_000),
      type: "COMPONENT_TYPE_SOURCE",
      address: "127.0.0.1:1",
    }),
  (random) =>
    request(registry.registerComponent, {
      ...LIAR,
      incarnation: `run-${random.below(4)}`,
      type: "COMPONENT_TYPE_SOURCE",
      address: "127.0.0.1:1",
      partitions: Array.from({ length: random.below(20_000) }, (_, at) => ({
        id: `${at}`,
        identity: `${random.next()}`,
      })),
    }),
  (random) =>
    request(registry.heartbeat, {
      ...LIAR,
      incarnation: `run-${random.below(4)}`,
      metrics: { waiting: Object.fromEntries(Array.from({ length: random.below(50_000) }, (_, at) => [`g${at}`, at])) },
      degradedReason: "x".repeat(random.below(1_000_000)),
    }),
  (random) =>
    request(control.reportInstance, {
      componentId: LIAR.componentId,
      instanceId: random.chance(0.5) ? LIAR.instanceId : `liar-${random.below(1_000_000)}`,
      observation: random.pick(["OBSERVATION_STARTED", "OBSERVATION_EXITED"]),
      message: "x".repeat(random.below(1_000_000)),
    }),
  (random) => request(control.holdOperation, { command: "x".repeat(random.below(1_000_000)), holder: "x" }),
  (random) => request(control.keepPipeline, { content: Buffer.alloc(random.below(2_000_000)) }),
  (random) => request(control.setDesiredState, { stopped: Array(random.below(100_000)).fill("liar-1") }),
];

const notDemanded: Readonly<Partial<Record<NotDemanded, Make>>> = {
  "register-as-honest": (random) =>
    request(registry.registerComponent, {
      ...HONEST,
      incarnation: `another-${random.below(5)}`,
      type: "COMPONENT_TYPE_SOURCE",
      address: "127.0.0.1:1",
    }),
  "apply-own-pipeline": (random) => request(control.applyPipeline, { spec: specOf(random), discard: true }),
  "desire-honest": () => request(control.setDesiredState, { stopped: [HONEST.instanceId] }),
  "report-honest": () =>
    request(control.reportInstance, {
      componentId: HONEST.componentId,
      instanceId: HONEST.instanceId,
      observation: "OBSERVATION_EXITED",
    }),
  "take-over-operation": (random) => request(control.holdOperation, { command: text(random), takeOver: true }),
};

/** A request to the control plane. @param all Also one of those that are not demanded. */
export function controlMessage(random: Random, all: boolean): RequestMessage {
  if (random.chance(0.004)) return { ...random.pick(large)(random), mayBeDamaged: false };
  const makes = all && random.chance(0.2) ? notDemanded : demanded;
  return random.pick(Object.values(makes))(random);
}

/** A specification of the pipeline, mostly with something in it that makes no sense. */
function specOf(random: Random): object {
  const isPlain = random.chance(0.5);
  const component = (id: string, inputs: readonly string[]): object => ({
    componentId: id,
    type: `COMPONENT_TYPE_${inputs.length === 0 ? "SOURCE" : "PROCESSOR"}`,
    replicas: random.chance(0.2) ? hostileNumber(random) % 2 ** 32 : 1,
    inputs: inputs.map((from) => ({ from, types: isPlain ? [] : list(random), buffer: buffer(random) })),
    consumes: isPlain ? [] : list(random),
    produces: isPlain ? [] : list(random),
    onError: {
      action: random.pick(["ACTION_FAIL", "ACTION_FAIL", "ACTION_DEAD_LETTER"]),
      to: random.pick(["a", "b", text(random)]),
    },
    partitionBy: text(random),
    maxRestarts: hostileNumber(random) % 2 ** 32,
    instanceIds: random.chance(0.1) ? list(random) : [],
    memoryLimitBytes: number(random),
  });
  const shape = random.weighted({ two: 10, odd: 3, twice: 1, cycle: 2, chain: 1, fan: 1 });
  const many = 2 + random.below(random.chance(0.05) ? 3_000 : 30);
  const components = {
    two: () => [component("a", []), component("b", ["a"])],
    odd: () => [component("a", []), component(text(random), ["a", text(random)])],
    twice: () => [component("a", []), component("a", [])],
    cycle: () => [component("a", ["b"]), component("b", ["a"])],
    chain: () => Array.from({ length: many }, (_, at) => component(`c${at}`, at === 0 ? [] : [`c${at - 1}`])),
    fan: () => Array.from({ length: many }, (_, at) => component(`c${at}`, at === 0 ? [] : ["c0"])),
  }[shape]();
  return { name: random.chance(0.9) ? "p" : text(random), components, driver: text(random) };
}

function buffer(random: Random): object | null {
  if (random.chance(0.7)) return null;
  const type = random.pick(["TYPE_MEMORY", "TYPE_DISK"]);
  return { type, maxEvents: number(random), maxBytes: number(random), whenFull: "WHEN_FULL_BLOCK" };
}

function speaker(random: Random): object {
  const who = random.chance(0.9)
    ? LIAR
    : { ...LIAR, [random.pick(["pipeline", "componentId", "instanceId"])]: text(random) };
  return { ...who, incarnation: random.chance(0.8) ? `run-${random.below(4)}` : text(random) };
}

function address(random: Random): string {
  return random.chance(0.8) ? "127.0.0.1:1" : text(random);
}

function metrics(random: Random): object | null {
  if (random.chance(0.3)) return null;
  return {
    eventsIn: number(random),
    eventsOut: number(random),
    inFlight: number(random),
    waiting: numbers(random),
    backpressure: random.pick([0, -1, Number.NaN, Number.POSITIVE_INFINITY, 1e308]),
  };
}

function list(random: Random): string[] {
  return Array.from({ length: random.chance(0.02) ? random.below(500) : random.below(4) }, () => text(random));
}

function texts(random: Random): Readonly<Record<string, string>> {
  return Object.fromEntries(list(random).map((key) => [key, text(random)]));
}

function numbers(random: Random): Readonly<Record<string, number>> {
  return Object.fromEntries(list(random).map((key) => [key, number(random)]));
}

/** Mostly harmless, so that the rest of the message is looked at. */
function text(random: Random): string {
  return random.chance(0.5) ? "liar" : hostileText(random);
}

function number(random: Random): number {
  return random.chance(0.3) ? 0 : hostileNumber(random);
}

function request<Request>(method: Method<Request, object>, message: object): RequestMessage {
  return { path: method.path, bytes: method.request.encode(message as Partial<Request>), mayBeDamaged: true };
}

import type { MethodDefinition } from "@grpc/grpc-js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decodeEvent,
  decodeOperationName,
  decodePipeline,
  decodeReport,
  decodeSpec,
  encodeEvent,
  encodePipeline,
  encodeReport,
  encodeSpec,
} from "./control-codec.ts";
import type {
  BufferSpec,
  InstanceMetrics,
  InstanceReport,
  OnErrorSpec,
  PipelineEvent,
  PipelineRecord,
  PipelineSpec,
  Topology,
} from "./records.ts";
import {
  decodeDeregistration,
  decodeHeartbeat,
  decodeRegistration,
  decodeRegistrationAnswer,
  encodeDeregistration,
  encodeRegistration,
  encodeRegistrationAnswer,
} from "./registry-codec.ts";
import { loadProtocol, serviceOf } from "./service-definitions.ts";
import { decodeRequest, encodeRequest } from "./stream-codec.ts";

const protocol = loadProtocol([
  "flowctl.registry.v1.ComponentRegistry",
  "flowctl.control.v1.PipelineControl",
  "flowctl.stream.v1.EventStream",
]);
const registry = serviceOf(protocol, "flowctl.registry.v1.ComponentRegistry");
const control = serviceOf(protocol, "flowctl.control.v1.PipelineControl");

/** The message as the other side of the wire gets it. */
function overWire(method: MethodDefinition<unknown, unknown>, side: "request" | "response", message: unknown): never {
  return (
    side === "request"
      ? method.requestDeserialize(method.requestSerialize(message))
      : method.responseDeserialize(method.responseSerialize(message))
  ) as never;
}

function method(service: typeof registry, name: string): MethodDefinition<unknown, unknown> {
  const found = service[name];
  if (found === undefined) throw new Error(`no method ${name}`);
  return found;
}

const text = fc.string({ unit: "grapheme", maxLength: 12 });
const id = text.filter((value) => value !== "");
const list = fc.array(text, { maxLength: 3 });
const count = fc.nat();
const time = fc.integer({ min: 1, max: 2 ** 42 });
const map = fc.dictionary(id, text, { maxKeys: 3, noNullPrototype: true });
const componentType = fc.constantFrom("source" as const, "processor" as const, "sink" as const);
const states = fc.constantFrom("starting", "healthy", "degraded", "unhealthy", "stopping", "completed", "failed");
const pipelineStates = fc.constantFrom("starting", "running", "degraded", "stopping", "completed", "failed");

const metrics: fc.Arbitrary<InstanceMetrics> = fc.record({
  eventsIn: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  eventsOut: count,
  bytesIn: count,
  bytesOut: count,
  eventsDropped: count,
  eventsFiltered: count,
  eventsFailed: count,
  inFlight: count,
  deadLetters: count,
  retries: count,
  waiting: fc.dictionary(id, count, { maxKeys: 3, noNullPrototype: true }),
  backpressure: fc.double({ min: 0, max: 1, noNaN: true }).map((value) => value + 0),
});
const buffer: fc.Arbitrary<BufferSpec> = fc.record({
  type: fc.constantFrom("memory", "disk"),
  maxEvents: count,
  maxBytes: count,
  whenFull: fc.constantFrom("block", "drop_newest", "drop_oldest"),
});
const onError: fc.Arbitrary<OnErrorSpec> = fc.record({
  action: fc.constantFrom("fail", "retry", "drop", "dead_letter"),
  to: text,
  retries: count,
  backoffMs: count,
});
const maybeBuffer = fc
  .option(buffer, { nil: undefined })
  .map((value) => (value === undefined ? {} : { buffer: value }));
const topology: fc.Arbitrary<Topology> = fc.record({
  upstreams: fc.array(
    fc.record({
      componentId: id,
      types: list,
      instances: fc.array(fc.record({ instanceId: id, address: text, completed: fc.boolean() }), { maxLength: 3 }),
      completed: fc.boolean(),
      deadLetters: fc.boolean(),
      desiredInstances: count,
    }),
    { maxLength: 3 },
  ),
  downstreams: fc.array(
    fc
      .tuple(
        fc.record({
          componentId: id,
          types: list,
          partitionBy: text,
          desiredInstances: count,
          deadLetters: fc.boolean(),
        }),
        maybeBuffer,
      )
      .map(([group, rest]) => ({ ...group, ...rest })),
    { maxLength: 3 },
  ),
  onError,
  inFlightAllowance: fc.record({ events: count, bytes: count }),
});
const spec: fc.Arbitrary<PipelineSpec> = fc.record({
  name: id,
  driver: text,
  components: fc.array(
    fc
      .record({
        id,
        type: componentType,
        replicas: fc.integer({ min: 1, max: 100 }),
        inputs: fc.array(
          fc.tuple(fc.record({ from: id, types: list }), maybeBuffer).map(([input, rest]) => ({ ...input, ...rest })),
          { maxLength: 3 },
        ),
        consumes: list,
        produces: list,
        onError,
        partitionBy: text,
        maxRestarts: count,
      })
      .chain((component) =>
        fc
          .record(
            {
              startDeadlineMs: fc.integer({ min: 1, max: 100_000 }),
              instanceIds: fc.array(id, { minLength: 1, maxLength: 3 }),
              memoryLimitBytes: fc.integer({ min: 1 }),
            },
            { requiredKeys: [] },
          )
          .map((rest) => ({ ...component, ...rest })),
      ),
    { maxLength: 4 },
  ),
});
const connections = fc.record({ upstream: list, downstream: list });
const pipeline = fc
  .tuple(
    fc.record({
      id,
      name: id,
      state: pipelineStates,
      reason: text,
      driver: text,
      startedAt: time,
      topology: fc.dictionary(id, connections, { maxKeys: 3, noNullPrototype: true }),
      components: fc.array(
        fc.record({
          id,
          type: componentType,
          state: states,
          connections,
          desiredInstances: count,
          totals: metrics,
          instances: fc.array(
            fc.record({
              id,
              state: states,
              reason: text,
              address: text,
              healthEndpoint: text,
              lastHeartbeat: fc.oneof(time, fc.constant(0)),
              registeredAt: time,
              metadata: map,
              metrics,
              restarts: count,
              consumes: list,
              produces: list,
              totals: metrics,
              desiredStopped: fc.boolean(),
            }),
            { maxLength: 3 },
          ),
        }),
        { maxLength: 3 },
      ),
    }),
    fc.option(time, { nil: undefined }),
  )
  .map(([rest, finishedAt]) => (finishedAt === undefined ? rest : { ...rest, finishedAt }) as PipelineRecord);

describe("what is sent", () => {
  it("arrives: the pipeline that is applied", () => {
    fc.assert(
      fc.property(spec, (given) => {
        const { spec: message } = overWire(method(control, "ApplyPipeline"), "request", {
          spec: encodeSpec(given),
        }) as { spec: Parameters<typeof decodeSpec>[0] };
        expect(decodeSpec(message)).toEqual(given);
      }),
    );
  });

  it("arrives: the pipeline's record", () => {
    fc.assert(
      fc.property(pipeline, (given) => {
        expect(decodePipeline(overWire(method(control, "GetPipeline"), "response", encodePipeline(given)))).toEqual(
          given,
        );
      }),
    );
  });

  it("arrives: an event, and a report about an instance", () => {
    const event: fc.Arbitrary<PipelineEvent> = fc.record({
      sequence: count,
      time,
      type: text,
      componentId: text,
      instanceId: text,
      message: text,
      from: text,
      to: text,
      attributes: map,
    });
    const report: fc.Arbitrary<InstanceReport> = fc.record({
      componentId: id,
      instanceId: id,
      observation: fc.constantFrom("started", "exited", "stopping", "removed"),
      exitCode: fc.integer({ min: -1, max: 255 }),
      oomKilled: fc.boolean(),
      willRestart: fc.boolean(),
      message: text,
    });
    fc.assert(
      fc.property(event, report, (anEvent, aReport) => {
        expect(decodeEvent(overWire(method(control, "WatchEvents"), "response", encodeEvent(anEvent)))).toEqual(
          anEvent,
        );
        expect(decodeReport(overWire(method(control, "ReportInstance"), "request", encodeReport(aReport)))).toEqual(
          aReport,
        );
      }),
    );
  });

  it("arrives: a registration, and its answer with or without a checkpoint, an empty one included", () => {
    const request = fc.record({
      pipeline: id,
      componentId: id,
      instanceId: id,
      incarnation: id,
      type: componentType,
      address: text,
      healthEndpoint: text,
      metadata: map,
      consumes: list,
      produces: list,
      features: list,
    });
    const answer = fc.record({
      checkpoint: fc.option(fc.uint8Array({ maxLength: 8 }), { nil: undefined }),
      heartbeatInterval: time,
      topology,
    });
    const register = method(registry, "RegisterComponent");
    fc.assert(
      fc.property(request, answer, (asked, answered) => {
        expect(decodeRegistration(overWire(register, "request", encodeRegistration(asked)))).toEqual(asked);
        const back = decodeRegistrationAnswer(
          overWire(register, "response", encodeRegistrationAnswer(asked, answered)),
        );
        expect({ ...back, checkpoint: back.checkpoint && Uint8Array.from(back.checkpoint) }).toEqual(answered);
      }),
    );
  });

  it("arrives: a deregistration", () => {
    const request = fc.record({
      pipeline: id,
      componentId: id,
      instanceId: id,
      incarnation: id,
      reason: fc.constantFrom("stopped" as const, "completed" as const, "failed" as const),
      message: text,
      metrics: fc.option(metrics, { nil: undefined }),
    });
    fc.assert(
      fc.property(request, (given) => {
        const sent = overWire(method(registry, "DeregisterComponent"), "request", encodeDeregistration(given));
        expect(decodeDeregistration(sent)).toEqual(given);
      }),
    );
  });
});

describe("what lacks what it must have", () => {
  const register = method(registry, "RegisterComponent");

  it("is refused, naming the field", () => {
    const whole = { pipeline: "p", componentId: "c", instanceId: "c-1", incarnation: "i", type: "COMPONENT_TYPE_SINK" };
    const missing = (field: string) => () =>
      decodeRegistration(overWire(register, "request", { ...whole, [field]: undefined }));
    expect(missing("pipeline")).toThrow("pipeline is empty");
    expect(missing("componentId")).toThrow("component_id is empty");
    expect(missing("instanceId")).toThrow("instance_id is empty");
    expect(missing("incarnation")).toThrow("incarnation is empty");
    expect(missing("type")).toThrow("invalid type: COMPONENT_TYPE_UNSPECIFIED");
    expect(decodeRegistration(overWire(register, "request", whole))).toMatchObject({ type: "sink", address: "" });
  });
});

describe("what is larger than anybody honest sends", () => {
  const registered = {
    pipeline: "p",
    componentId: "c",
    instanceId: "c-1",
    incarnation: "i",
    type: "COMPONENT_TYPE_SINK",
  };
  const register = (more: object) => () =>
    decodeRegistration(overWire(method(registry, "RegisterComponent"), "request", { ...registered, ...more }));
  const heartbeat = (more: object) => () =>
    decodeHeartbeat(overWire(method(registry, "Heartbeat"), "request", { ...registered, ...more }));
  const many = Array.from({ length: 1_025 }, (_, at) => `${at}`);
  const marks = Object.fromEntries(many.map((key) => [key, 1]));

  it.each(["pipeline", "componentId", "instanceId", "incarnation"])("is refused as %s", (field) => {
    expect(register({ [field]: "x".repeat(255) })).not.toThrow();
    expect(register({ [field]: "x".repeat(256) })).toThrow("longer than 255 characters");
  });

  it("is refused where all of it would be remembered", () => {
    expect(register({ metadata: { k: "x".repeat(65_537) } })).toThrow("metadata has more than 65536 characters");
    expect(register({ metadata: Object.fromEntries(many.map((key) => [key, "x"])) })).toThrow("more than 1024 entries");
    expect(register({ address: "x".repeat(1_025) })).toThrow("address is longer");
    expect(register({ healthEndpoint: "x".repeat(1_025) })).toThrow("health_endpoint is longer");
    for (const field of ["consumes", "produces", "features"]) expect(register({ [field]: many })).toThrow(field);
    expect(heartbeat({ settledMarks: marks })).toThrow("settled_marks");
    expect(heartbeat({ drainedGroups: many })).toThrow("drained_groups");
    expect(heartbeat({ metrics: { waiting: marks } })).toThrow("metrics.waiting");
  });

  it("is cut where it is for people", () => {
    const words = "x".repeat(100_000);
    expect(heartbeat({ degradedReason: words })().degradedReason).toHaveLength(4_097);
    const bye = { ...registered, reason: "DEREGISTER_REASON_FAILED", message: words };
    const said = overWire(method(registry, "DeregisterComponent"), "request", bye);
    expect(decodeDeregistration(said).message).toHaveLength(4_097);
    const seen = { componentId: "c", instanceId: "c-1", observation: "OBSERVATION_EXITED", message: words };
    expect(decodeReport(overWire(method(control, "ReportInstance"), "request", seen)).message).toHaveLength(4_097);
    const held = overWire(method(control, "HoldOperation"), "request", { command: words, holder: words });
    expect(decodeOperationName(held).command).toHaveLength(4_097);
  });

  it("is cut before it is sent where all that is larger would be refused: the reason of a nack", () => {
    const nack = encodeRequest({ kind: "nack", sequence: 7, reason: "x".repeat(1_000_000) });
    expect(decodeRequest(nack)).toEqual({ kind: "nack", sequence: 7, reason: `${"x".repeat(4_096)}…` });
  });
});

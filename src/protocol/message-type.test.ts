import { join } from "node:path";
import { loadSync } from "@grpc/proto-loader";
import fc from "fast-check";
import protobuf from "protobufjs";
import { describe, expect, it } from "vitest";
import { engineAccessService } from "../drivers/docker/engine-access/engine-access-messages.ts";
import { supervisorService } from "../drivers/process/supervisor/supervisor-messages.ts";
import { hasCode } from "../foundation/errors.ts";
import { packageRoot } from "../foundation/package-root.ts";
import { pipelineControl } from "./control-messages.ts";
import { bytes, type Field, int32, list, type MessageType, map, messageType, one, string } from "./message-type.ts";
import { componentRegistry } from "./registry-messages.ts";
import { loadProtocol, type ServiceName, serviceOf } from "./service-definitions.ts";
import type { Method } from "./service-methods.ts";

const services = {
  "flowctl.registry.v1.ComponentRegistry": componentRegistry,
  "flowctl.control.v1.PipelineControl": pipelineControl,
  "flowctl.supervisor.v2.Supervisor": supervisorService,
  "flowctl.engineaccess.v1.EngineAccess": engineAccessService,
} as const;
const names = Object.keys(services) as (keyof typeof services)[];

type AnyMessage = MessageType<object>;
type AnyMethod = Method<object, object>;
const methods = names.flatMap((service) => Object.values(services[service] as unknown as Record<string, AnyMethod>));

const localFiles = [
  "src/drivers/process/supervisor/supervisor.proto",
  "src/drivers/docker/engine-access/engine_access.proto",
];

/** The protocol files, read by another library than the one that made the tables. */
const files = new protobuf.Root();
files.resolvePath = (_, target) => {
  if (target.startsWith("google/")) return target;
  return join(packageRoot(), target.startsWith("flowctl/") ? "proto" : "", target);
};
files.loadSync(["flowctl/registry/v1/registry.proto", "flowctl/control/v1/control.proto", ...localFiles]);
files.resolveAll();

describe("the tables of the protocol", () => {
  it.each(names)("have every method of %s, with its path", (service) => {
    const expected = files.lookupService(service).methodsArray.map(({ name }) => `/${service}/${name}`);
    expect(Object.values(services[service]).map(({ path }) => path)).toEqual(expected);
  });

  it("say of every message and every enum what the protocol files say", () => {
    const seen = new Map<string, AnyMessage>();
    for (const { path, request, response } of methods) {
      const [, service = "", name = ""] = path.split("/");
      const method = files.lookupService(service).methods[name]!;
      method.resolve();
      expect(request.name).toBe(fullName(method.resolvedRequestType));
      expect(response.name).toBe(fullName(method.resolvedResponseType));
      collect(request, seen);
      collect(response, seen);
    }
    for (const [name, table] of seen) {
      expect(described(table), name).toEqual(declared(files.lookupType(name)));
    }
    expect(seen.size).toBeGreaterThan(20);
  });
});

/** The same without what proto-loader adds: for each optional field that is there one of its own, which says so. */
function plain(message: unknown): unknown {
  if (Array.isArray(message)) return message.map(plain);
  if (message === null || typeof message !== "object" || message instanceof Uint8Array) return message;
  const entries = Object.entries(message);
  const isMark = ([key, value]: [string, unknown]): boolean =>
    typeof value === "string" && key === `_${value}` && Object.hasOwn(message, value);
  return Object.fromEntries(entries.filter((entry) => !isMark(entry)).map(([key, value]) => [key, plain(value)]));
}

/** Both sides of every method, against a library that others use. */
const protocol = {
  ...loadProtocol(["flowctl.registry.v1.ComponentRegistry", "flowctl.control.v1.PipelineControl"]),
  ...loadSync(
    localFiles.map((file) => join(packageRoot(), file)),
    { longs: Number, enums: String, defaults: true, oneofs: true },
  ),
};
const sides = methods.flatMap(({ path, request, response }) => {
  const [, service = "", name = ""] = path.split("/");
  const definition = serviceOf(protocol, service as ServiceName)[name]!;
  return [
    { name: request.name, table: request, write: definition.requestSerialize, read: definition.requestDeserialize },
    { name: response.name, table: response, write: definition.responseSerialize, read: definition.responseDeserialize },
  ];
});

describe.each(sides)("$name", ({ table, write, read }) => {
  it("is read by others as it was written here, and the other way round", () => {
    fc.assert(
      fc.property(arbitrary(table), (message) => {
        const here = table.encode(message);
        expect(plain(read(here))).toEqual(table.decode(here));
        expect(table.decode(write(message))).toEqual(plain(read(write(message))));
        expect(table.decode(here)).toEqual(plain(read(write(message))));
      }),
      { numRuns: 50 },
    );
  });

  it("on damaged bytes either is read or is said to be malformed", () => {
    fc.assert(
      fc.property(arbitrary(table), fc.nat(), fc.nat(255), fc.nat(), (message, at, value, length) => {
        const damaged = Buffer.from(table.encode(message));
        if (damaged.length > 0) damaged[at % damaged.length] = value;
        try {
          table.decode(damaged.subarray(0, length % (damaged.length + 1)));
        } catch (error) {
          expect(hasCode(error, "protocol/malformed")).toBe(true);
        }
      }),
      { numRuns: 50 },
    );
  });
});

const small = messageType("small", {
  name: one(1, string),
  code: one(2, int32),
  tags: list(3, string),
  labels: map(4, string),
});

describe("a message out of a table", () => {
  it("has every field, whatever is left out", () => {
    expect(small.decode(small.encode({}))).toEqual({ name: "", code: 0, tags: [], labels: {} });
    expect(small.encode({ name: "", code: 0, tags: [], labels: {} })).toHaveLength(0);
  });

  it("passes over fields that it does not know, and over known ones of another wire type", () => {
    const other = messageType("other", {
      name: one(1, int32),
      more: one(9, bytes),
    });
    const strange = other.encode({ name: 7, more: Buffer.from("later") });
    expect(small.decode(Buffer.concat([strange, small.encode({ name: "a" })]))).toMatchObject({ name: "a" });
  });

  it("keeps negative numbers, and keys that objects have a meaning for", () => {
    const labels = Object.fromEntries([["__proto__", "x"]]);
    const read = small.decode(small.encode({ code: -137, labels }));
    expect(read.code).toBe(-137);
    expect(Object.entries(read.labels)).toEqual([["__proto__", "x"]]);
  });

  it("does not share the memory of what it was read from", () => {
    const table = messageType("p", { position: one(1, bytes) });
    const received = table.encode({ position: Buffer.from([1, 2, 3]) });
    const { position } = table.decode(received);
    received.fill(0);
    expect([...position]).toEqual([1, 2, 3]);
  });
});

function collect(table: AnyMessage, seen: Map<string, AnyMessage>): void {
  if (seen.has(table.name)) return;
  seen.set(table.name, table);
  for (const { type } of Object.values(table.fields)) if (isMessage(type)) collect(type, seen);
}

function isMessage(type: Field<unknown>["type"]): type is AnyMessage {
  return "fields" in type;
}

function valuesOf(type: Field<unknown>["type"]): readonly string[] | undefined {
  return "names" in type ? (type.names as readonly string[]) : undefined;
}

function described(table: AnyMessage): unknown {
  return Object.fromEntries(
    Object.entries(table.fields).map(([key, { number, label, type }]) => [
      key,
      { number, label, type: type.name, values: valuesOf(type) },
    ]),
  );
}

function declared(type: protobuf.Type): unknown {
  return Object.fromEntries(
    type.fieldsArray.map((field) => {
      const { resolvedType } = field.resolve();
      return [
        field.name,
        {
          number: field.id,
          label: labelOf(field),
          type: resolvedType === null ? field.type : fullName(resolvedType),
          values: resolvedType instanceof protobuf.Enum ? Object.values(resolvedType.valuesById) : undefined,
        },
      ];
    }),
  );
}

function labelOf(field: protobuf.Field): string {
  if (field.map) return "map";
  if (field.repeated) return "list";
  return field.partOf === null ? "one" : "optional";
}

function fullName(object: protobuf.ReflectionObject | null): string {
  return object?.fullName.replace(/^\./, "") ?? "";
}

/** Messages as they are given to be sent: of everything something, and nothing. */
function arbitrary(table: AnyMessage): fc.Arbitrary<object> {
  return fc.record(Object.fromEntries(Object.entries(table.fields).map(([key, field]) => [key, arbitraryOf(field)])), {
    noNullPrototype: true,
    requiredKeys: Object.entries(table.fields)
      .filter(([, { label }]) => label !== "optional")
      .map(([key]) => key),
  });
}

function arbitraryOf({ label, type }: Field<unknown>): fc.Arbitrary<unknown> {
  const value = arbitraryValue(type);
  if (label === "list") return fc.array(value, { maxLength: 3 });
  // Not as `__proto__`, which protobufjs loses, nor as what proto-loader adds, which `plain` takes away: `_` beside an empty key was such a one.
  const key = fc.string({ maxLength: 8 }).filter((name) => !name.startsWith("_"));
  // Bytes that are absent in a map, protobufjs reads as a list.
  const inMap = value.filter((one) => !(one instanceof Uint8Array && one.length === 0));
  if (label === "map") return fc.dictionary(key, inMap, { maxKeys: 3, noNullPrototype: true });
  return label === "one" && isMessage(type) ? fc.option(value) : value;
}

function arbitraryValue(type: Field<unknown>["type"]): fc.Arbitrary<unknown> {
  if (isMessage(type)) return arbitrary(type);
  const values = valuesOf(type);
  if (values !== undefined) return fc.constantFrom(...values);
  const found = scalars[type.name];
  if (found === undefined) throw new Error(`no values for ${type.name}`);
  return found;
}

const scalars: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  string: fc.string({ unit: "grapheme", maxLength: 12 }),
  bytes: fc.uint8Array({ maxLength: 8 }).map((value) => Buffer.from(value)),
  bool: fc.boolean(),
  // Zero has one sign here: it is left out on the wire.
  double: fc.double({ noNaN: true }).map((value) => value + 0),
  uint64: fc.maxSafeNat(),
  uint32: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  int64: fc.maxSafeInteger(),
  int32: fc.integer(),
};

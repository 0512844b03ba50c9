import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { Client, credentials, loadPackageDefinition, makeGenericClientConstructor, status } from "@grpc/grpc-js";
import { loadFileDescriptorSetFromObject, loadSync } from "@grpc/proto-loader";
import { service as healthDefinition } from "grpc-health-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ControlPlaneProcess, controlPlaneProcess } from "./control-plane-process.ts";

/** The calls of a generic client, which knows nothing of flowctl but what the server tells it. */
interface DuplexCall {
  write(request: object): void;
  end(): void;
  on(event: "data", listener: (answer: ReflectionAnswer) => void): void;
  on(event: "error", listener: (error: Error) => void): void;
}
interface ReflectionAnswer {
  readonly listServicesResponse?: { readonly service: readonly { readonly name: string }[] };
  readonly fileDescriptorResponse?: { readonly fileDescriptorProto: readonly Uint8Array[] };
  readonly errorResponse?: { readonly errorCode: number };
}
type Unary = (request: object, callback: (error: { readonly code: number } | null, answer: unknown) => void) => void;

let controlPlane: ControlPlaneProcess;
beforeAll(async () => {
  controlPlane = await controlPlaneProcess("p");
  await controlPlane.start();
});
afterAll(() => controlPlane[Symbol.asyncDispose]());

/** Asks the reflection service as published by gRPC, by the protocol file that the gRPC project ships. */
async function reflect(version: "v1" | "v1alpha", request: object): Promise<ReflectionAnswer> {
  const folder = dirname(createRequire(import.meta.url).resolve("@grpc/reflection/package.json"));
  const file = join(folder, "build/proto/grpc/reflection", version, "reflection.proto");
  const definition = loadSync(file, { longs: String, enums: String, defaults: false, oneofs: true });
  const name = `grpc.reflection.${version}.ServerReflection`;
  const Reflection = makeGenericClientConstructor(definition[name] as never, name);
  const client = new Reflection(controlPlane.grpc, credentials.createInsecure());
  const call = (client as unknown as { serverReflectionInfo(): DuplexCall }).serverReflectionInfo();
  try {
    return await new Promise<ReflectionAnswer>((resolve, reject) => {
      call.on("data", resolve);
      call.on("error", reject);
      call.write(request);
    });
  } finally {
    call.end();
    client.close();
  }
}

describe("gRPC reflection", () => {
  it.each(["v1", "v1alpha"] as const)("lists every service of the protocol, by %s", async (version) => {
    const { listServicesResponse } = await reflect(version, { listServices: "" });
    expect(listServicesResponse?.service.map(({ name }) => name)).toEqual(
      expect.arrayContaining([
        "flowctl.registry.v1.ComponentRegistry",
        "flowctl.control.v1.PipelineControl",
        "flowctl.stream.v1.EventStream",
      ]),
    );
  });

  it.each([
    "flowctl.registry.v1.ComponentRegistry",
    "flowctl.control.v1.PipelineControl",
    "flowctl.stream.v1.EventStream",
    "flowctl.event.v1.Event",
    "google.protobuf.Timestamp",
    "google.protobuf.Duration",
  ])("describes %s", async (symbol) => {
    const { fileDescriptorResponse } = await reflect("v1", { fileContainingSymbol: symbol });
    expect(fileDescriptorResponse?.fileDescriptorProto.length).toBeGreaterThan(0);
  });

  it("ends its answers when it is asked nothing more, and a stream that is no message of reflection with the reason", async () => {
    const path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    const same = (bytes: Buffer): Buffer => bytes;
    const asked = async (request: Buffer): Promise<{ readonly answers: number; readonly code: number }> => {
      const client = new Client(controlPlane.grpc, credentials.createInsecure());
      const call = client.makeBidiStreamRequest(path, same, same);
      let answers = 0;
      call.on("data", () => answers++);
      call.on("error", () => undefined);
      const ended = new Promise<number>((resolve) => call.on("status", ({ code }) => resolve(code)));
      call.write(request);
      call.end();
      const code = await ended;
      client.close();
      return { answers, code };
    };
    // list_services, field 7, is empty.
    expect(await asked(Buffer.from([0x3a, 0]))).toEqual({ answers: 1, code: status.OK });
    expect(await asked(Buffer.from([0x3a]))).toEqual({ answers: 0, code: status.INTERNAL });
  });

  it("says that it does not know what does not exist", async () => {
    const { errorResponse } = await reflect("v1", { fileContainingSymbol: "flowctl.Nothing" });
    expect(errorResponse?.errorCode).toBe(status.NOT_FOUND);
  });

  it("tells enough to call a method that the client has no protocol file of", async () => {
    const { fileDescriptorResponse } = await reflect("v1", {
      fileContainingSymbol: "flowctl.control.v1.PipelineControl",
    });
    const descriptor = loadSync(
      join(
        dirname(createRequire(import.meta.url).resolve("protobufjs/package.json")),
        "google/protobuf/descriptor.proto",
      ),
      { keepCase: false },
    );
    const fileType = descriptor["google.protobuf.FileDescriptorProto"];
    if (fileType === undefined || !("deserialize" in fileType)) throw new Error("no descriptor type");
    const decode = fileType.deserialize as (bytes: Buffer) => object;
    const file = (fileDescriptorResponse?.fileDescriptorProto ?? []).map((bytes) => decode(Buffer.from(bytes)));
    const definition = loadFileDescriptorSetFromObject({ file } as never, { keepCase: false, enums: String });
    const grpc = loadPackageDefinition(definition) as unknown as {
      flowctl: {
        control: {
          v1: { PipelineControl: new (address: string, with_: unknown) => { getPipeline: Unary; close(): void } };
        };
      };
    };
    const client = new grpc.flowctl.control.v1.PipelineControl(controlPlane.grpc, credentials.createInsecure());
    const pipeline = await new Promise((resolve, reject) =>
      client.getPipeline({}, (error, answer) => (error === null ? resolve(answer) : reject(error))),
    );
    client.close();
    expect(pipeline).toMatchObject({ name: "p", state: "PIPELINE_STATE_STARTING" });
  });
});

describe("the standard health service", () => {
  it("serves for the server and for each of its services, and knows no other", async () => {
    const Health = makeGenericClientConstructor(healthDefinition as never, "grpc.health.v1.Health");
    const client = new Health(controlPlane.grpc, credentials.createInsecure());
    const check = (client as unknown as { check: Unary }).check.bind(client) as Unary;
    const ask = (service: string) =>
      new Promise((resolve) => check({ service }, (error, answer) => resolve(error === null ? answer : error.code)));
    expect(await ask("")).toEqual({ status: "SERVING" });
    expect(await ask("flowctl.registry.v1.ComponentRegistry")).toEqual({ status: "SERVING" });
    expect(await ask("flowctl.control.v1.PipelineControl")).toEqual({ status: "SERVING" });
    expect(await ask("nobody")).toBe(status.NOT_FOUND);
    client.close();
  });
});

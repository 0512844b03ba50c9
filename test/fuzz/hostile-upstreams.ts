import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { connectRegistry } from "../../src/client/registry-client.ts";
import { noMetrics } from "../../src/protocol/component-codec.ts";
import { encodeOpened } from "../../src/protocol/stream-codec.ts";
import { eventStreamDefinition } from "../../src/streams/sending/event-stream-server.ts";
import { hostileBatch, violation } from "./generators/batches.ts";
import type { Input } from "./port.ts";

type Call = ServerDuplexStream<Buffer, Buffer>;

interface Waiting {
  readonly input: Input;
  readonly done: () => void;
}

/** How many instances the attacker plays. */
const INSTANCES = 8;
/** Of what comes on a stream before it is broken. */
const MOST_ON_ONE_STREAM = 2_000;

/** Instances of the component `mallory`, which a sink of the pipeline dials: each input is something that one of them says. */
export class HostileUpstreams {
  readonly #server = new Server({ "grpc.max_send_message_length": -1 });
  readonly #queue: Waiting[] = [];
  readonly #calls = new Map<string, () => void>();
  readonly #registries: ReturnType<typeof connectRegistry>[] = [];

  async start(grpc: string): Promise<void> {
    this.#server.addService(eventStreamDefinition, { Subscribe: (call: Call) => this.#subscribed(call) });
    const port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    for (let at = 1; at <= INSTANCES; at++) {
      const identity = { pipeline: "p", componentId: "mallory", instanceId: `mallory-${at}`, type: "source" } as const;
      const registry = connectRegistry(grpc, { ...identity, incarnation: `run-${at}` });
      this.#registries.push(registry);
      const partitions = Array.from({ length: INSTANCES }, (_, index) => ({ id: `${index}`, identity: "" }));
      const registration = { healthEndpoint: "", metadata: {}, consumes: [], produces: [], features: [], partitions };
      await registry.register({ ...registration, address: `127.0.0.1:${port}` }, AbortSignal.timeout(15_000));
    }
  }

  async heartbeat(): Promise<void> {
    const beat = { degradedReason: "", drainedGroups: [], settledMarks: {}, heardMark: 0, metrics: noMetrics };
    await Promise.all(this.#registries.map((registry) => registry.heartbeat(beat, AbortSignal.timeout(15_000))));
  }

  /** Resolves when all of it was said. */
  async say(inputs: readonly Input[]): Promise<void> {
    const all = inputs.map((input) => new Promise<void>((done) => this.#queue.push({ input, done })));
    for (const go of [...this.#calls.values()]) go();
    await Promise.all(all);
  }

  close(): void {
    for (const registry of this.#registries) registry.close();
    this.#server.forceShutdown();
  }

  #subscribed(call: Call): void {
    let expected = 1;
    let said = 0;
    let instance = "";
    const go = (): void => {
      while (instance !== "") {
        const next = this.#queue.shift();
        if (next === undefined) return;
        const { random } = next.input;
        const breaks = said++ >= MOST_ON_ONE_STREAM || random.chance(0.01);
        const { message, events } = breaks
          ? violation("mallory", instance, expected, random)
          : hostileBatch(expected, random);
        expected += events;
        call.write(message, () => next.done());
        if (!breaks) continue;
        gone();
        // Some say nothing more afterwards, as if they were right.
        if (random.chance(0.5)) call.end();
        else setTimeout(() => call.end(), 200).unref();
      }
    };
    const gone = (): void => {
      if (this.#calls.get(instance) === go) this.#calls.delete(instance);
      instance = "";
    };
    call.once("data", (open: Buffer) => {
      // Whom it means stands in Open; any of the names that it can be is found there.
      instance = /mallory-\d+/.exec(open.toString("latin1"))?.[0] ?? "mallory-1";
      call.write(encodeOpened("mallory", instance));
      this.#calls.set(instance, go);
      call.resume();
      go();
    });
    for (const event of ["cancelled", "close", "error", "end"]) call.once(event, gone);
    call.on("end", () => call.end());
  }
}

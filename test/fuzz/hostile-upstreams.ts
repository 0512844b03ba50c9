import { Server, type ServerDuplexStream } from "@grpc/grpc-js";
import { connectRegistry } from "../../src/client/registry-client.ts";
import { serverCredentials } from "../../src/identity/tls-credentials.ts";
import type { IdentitySource } from "../../src/identity/tls-identity.ts";
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
/** How long nobody may take anything, in milliseconds. */
const TAKING_MS = 20_000;

/** Who instance `instance` of the component `mallory` is; undefined where everybody speaks in the clear. */
type Joins = (component: string, instance: string) => Promise<IdentitySource | undefined>;

/**
 * Instances of the component `mallory`, which a sink of the pipeline dials: each input is something that one of them says. Where there are
 * certificates the last of them shows that of the first, and is to be subscribed to by nobody.
 */
export class HostileUpstreams {
  readonly #servers: Server[] = [];
  readonly #queue: Waiting[] = [];
  readonly #calls = new Map<string, () => void>();
  readonly #registries: ReturnType<typeof connectRegistry>[] = [];
  #believed: string | undefined;

  async start(grpc: string, joins: Joins): Promise<void> {
    const first = await joins("mallory", "mallory-1");
    for (let at = 1; at <= INSTANCES; at++) {
      const instanceId = `mallory-${at}`;
      const isLiar = first !== undefined && at === INSTANCES;
      const own = at === 1 ? first : await joins("mallory", instanceId);
      const port = await this.#serve(isLiar ? first : own, isLiar ? instanceId : undefined);
      const identity = { pipeline: "p", componentId: "mallory", instanceId, type: "source" } as const;
      const registry = connectRegistry(grpc, { ...identity, incarnation: `run-${at}` }, own);
      this.#registries.push(registry);
      const partitions = Array.from({ length: INSTANCES }, (_, index) => ({ id: `${index}`, identity: "" }));
      const registration = { healthEndpoint: "", metadata: {}, consumes: [], produces: [], features: [], partitions };
      await registry.register({ ...registration, address: `127.0.0.1:${port}` }, AbortSignal.timeout(15_000));
    }
  }

  /** Throws when somebody was believed who showed the certificate of another instance. */
  requireDistrust(): void {
    if (this.#believed !== undefined)
      throw new Error(`the honest sink subscribed at ${this.#believed}, which shows the certificate of mallory-1`);
  }

  async heartbeat(): Promise<void> {
    const beat = { degradedReason: "", drainedGroups: [], settledMarks: {}, heardMark: 0, metrics: noMetrics };
    await Promise.all(this.#registries.map((registry) => registry.heartbeat(beat, AbortSignal.timeout(15_000))));
  }

  /** Resolves when all of it was said. Rejects when nobody takes any of it for a while. */
  async say(inputs: readonly Input[]): Promise<void> {
    let late: NodeJS.Timeout | undefined;
    let left = inputs.length;
    const tooLate = new Promise<never>((_resolve, reject) => {
      const fail = (): void =>
        reject(new Error(`of what was said ${left} were taken by nobody within ${TAKING_MS} ms`));
      late = setTimeout(fail, TAKING_MS);
    });
    const taken = (): void => {
      left--;
      late?.refresh();
    };
    const all = inputs.map((input) => new Promise<void>((done) => this.#queue.push({ input, done })).then(taken));
    for (const go of [...this.#calls.values()]) go();
    await Promise.race([Promise.all(all), tooLate]).finally(() => clearTimeout(late));
  }

  close(): void {
    for (const registry of this.#registries) registry.close();
    for (const server of this.#servers) server.forceShutdown();
  }

  /** Serves as `who`, in the place of `liar` where it is one. Resolves with the port. */
  async #serve(who: IdentitySource | undefined, liar: string | undefined): Promise<number> {
    const server = new Server({ "grpc.max_send_message_length": -1 });
    this.#servers.push(server);
    server.addService(eventStreamDefinition, {
      Subscribe: (call: Call) => {
        this.#believed ??= liar;
        this.#subscribed(call);
      },
    });
    return await new Promise<number>((resolve, reject) => {
      server.bindAsync("127.0.0.1:0", serverCredentials(who), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
  }

  #subscribed(call: Call): void {
    let expected = 1;
    let said = 0;
    let instance = "";
    // A write to a call that was cancelled is not answered.
    const unanswered = new Set<() => void>();
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
        unanswered.add(next.done);
        call.write(message, () => {
          unanswered.delete(next.done);
          next.done();
        });
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
    for (const event of ["cancelled", "close"]) {
      call.once(event, () => {
        for (const done of unanswered) done();
      });
    }
    call.on("end", () => call.end());
  }
}

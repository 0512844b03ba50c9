import { mkdtempSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { connectControlPlane } from "../../../src/client/control-plane-client.ts";
import { startControlPlane } from "../../../src/control-plane/control-plane.ts";
import { createMemoryStore } from "../../../src/control-plane/store/memory-store.ts";
import { systemClock } from "../../../src/foundation/clock.ts";
import { silentLogger } from "../../../src/foundation/logger.ts";
import { openIdentityFolder } from "../../../src/identity/identity-folder.ts";
import type { JoiningFiles } from "../../../src/identity/joining-files.ts";
import { joinPem } from "../../../src/identity/pem.ts";
import { changingIdentity } from "../../../src/identity/tls-identity.ts";
import type { ComponentSpec } from "../../../src/protocol/records.ts";
import type { ComponentDefinition } from "../../../src/sdk/component.ts";
import { defineSink, defineSource, type Event } from "../../../src/sdk/index.ts";
import { runComponent } from "../../../src/sdk/run-component.ts";

/** What became of the numbers that the source has emitted. */
export interface WorldState {
  readonly grpc: string;
  readonly emitted: number;
  /** What the source was told to be durable everywhere. */
  readonly committed: number;
  /** By sink: how many numbers it has, and up to which it has all. */
  readonly sinks: Readonly<Record<string, { readonly count: number; readonly allUpTo: number }>>;
  /** Events of the hostile upstream that the sink has looked at. */
  readonly hostile: number;
  /** Components that have ended, and how. */
  readonly ended: Readonly<Record<string, string>>;
}

/** Hostile instances that may register. */
const MALLORYS = 8;
/** Numbers a turn, and the pause after each, in milliseconds. */
const A_TURN = 20;
const PAUSE_MS = 10;

// A pipeline of components that are run by the SDK, in a program of its own: a source, three sinks of it, and in front of one of
// them a source that the attacker plays.
const anything = z.record(z.string(), z.unknown());
const folder = mkdtempSync(join(tmpdir(), "flowctl-fuzz-world-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
process.once("SIGTERM", () => process.exit(0));

let emitted = 0;
let committed = 0;
let hostile = 0;
let isToEnd = false;
const seen = new Map<string, { readonly numbers: Set<number>; allUpTo: number }>();
const ended: Record<string, string> = {};

const feed = defineSource<unknown, number>({
  name: "feed",
  version: "1",
  config: anything,
  open: ({ position = 0, signal }) => ({
    async run(emit) {
      for (let n = position + 1; !isToEnd && !signal.aborted; n++) {
        await emit({ id: `n-${n}`, type: "number", json: { n } }, n);
        emitted = n;
        if (n % A_TURN === 0) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
    },
    committed: async (reached) => {
      if (reached < committed) throw new Error(`the position went back from ${committed} to ${reached}`);
      committed = reached;
    },
  }),
});

function sink(id: string): ComponentDefinition {
  const state = { numbers: new Set<number>(), allUpTo: 0 };
  seen.set(id, state);
  return defineSink({
    name: id,
    version: "1",
    config: anything,
    open: () => ({
      async write(events) {
        for (const event of events) {
          if (event.upstream === "feed") take(state, event);
          else look(event);
        }
      },
    }),
  });
}

function take(state: { readonly numbers: Set<number>; allUpTo: number }, event: Event): void {
  const { n } = event.json() as { readonly n: number };
  if (n > state.allUpTo) state.numbers.add(n);
  while (state.numbers.delete(state.allUpTo + 1)) state.allUpTo++;
}

/** Everything of an event that an author may ask for. */
function look(event: Event): void {
  hostile++;
  const { id, type, payload, metadata, timestamp, sourceComponentId, contentType } = event;
  JSON.stringify([id, type, payload.length, metadata, timestamp, sourceComponentId, contentType]);
  if (contentType === "application/json") event.json();
}

const identityFolder = process.env.FLOWCTL_IDENTITY_DIR ?? "";
const identity = identityFolder === "" ? undefined : await openIdentityFolder(identityFolder, "p");

const controlPlane = await startControlPlane({
  pipeline: "p",
  grpcListen: "127.0.0.1:0",
  httpListen: "127.0.0.1:0",
  store: createMemoryStore(),
  clock: systemClock,
  log: silentLogger,
  ...(identity === undefined ? {} : { identity }),
});

function spec(id: string, type: ComponentSpec["type"], inputs: readonly string[], replicas = 1): ComponentSpec {
  return {
    id,
    type,
    inputs: inputs.map((from) => ({ from, types: [] })),
    replicas,
    consumes: [],
    produces: [],
    partitionBy: "",
    maxRestarts: 5,
    onError: { action: id === "victim" ? "drop" : "fail", to: "", retries: 0, backoffMs: 0 },
  };
}

const operator = identity && changingIdentity({ role: "operator", pipeline: "p" }, identity.operator);
const client = connectControlPlane(controlPlane.grpcAddress, operator);
const components = [
  spec("feed", "source", []),
  spec("mallory", "source", [], MALLORYS),
  spec("archive", "sink", ["feed"]),
  // Where there are certificates the attacker has that of the second instance.
  spec("lied-to", "sink", ["feed"], identity === undefined ? 1 : 2),
  spec("victim", "sink", ["feed", "mallory"]),
];
await client.applyPipeline({ name: "p", driver: "process", components }, AbortSignal.timeout(20_000));
client.close();

/** What an instance joins with, as the driver gives it. */
async function filesOf(component: string): Promise<JoiningFiles | undefined> {
  if (identity === undefined) return undefined;
  const [ca, certificate] = ["ca", "joining"].map((name) => join(folder, `${component}-${name}.pem`)) as [
    string,
    string,
  ];
  await writeFile(ca, identity.authority.certificate);
  await writeFile(certificate, joinPem(await identity.begin(component, `${component}-1`)));
  return { ca, certificate, key: certificate };
}

async function start(id: string, component: ComponentDefinition): Promise<void> {
  const files = await filesOf(id);
  runComponent(component, {
    environment: {
      instance: { pipeline: "p", componentId: id, instanceId: `${id}-1`, index: 1, replicas: 1 },
      type: component.type,
      controlPlane: controlPlane.grpcAddress,
      listen: "127.0.0.1:0",
      advertise: undefined,
      healthHost: "127.0.0.1",
      healthPort: 0,
      config: {},
      stateDirectory: join(folder, id),
      secretsDirectory: folder,
      logLevel: "error",
      stopGraceMs: 1_000,
      ...(files === undefined ? {} : { identity: files }),
    },
    config: {},
    clock: systemClock,
    log: silentLogger,
    stop: new AbortController().signal,
    secret: async () => "",
  }).then(
    (outcome) => {
      ended[id] = outcome;
    },
    (error: unknown) => {
      console.error(error);
      ended[id] = `failed: ${String(error)}`;
    },
  );
}

await start("feed", feed);
for (const id of ["archive", "lied-to", "victim"]) await start(id, sink(id));

process.on("message", ({ id, question }: { readonly id: number; readonly question: string }) => {
  if (question === "holdings") return;
  if (question === "end") isToEnd = true;
  const sinks = [...seen].map(
    ([name, { numbers, allUpTo }]) => [name, { count: allUpTo + numbers.size, allUpTo }] as const,
  );
  const answer: WorldState = {
    grpc: controlPlane.grpcAddress,
    emitted,
    committed,
    sinks: Object.fromEntries(sinks),
    hostile,
    ended,
  };
  process.send?.({ id, answer });
});
process.send?.({ id: 0, answer: true });

import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import type { ControlPlaneClient } from "../../src/client/client.ts";
import { connectControlPlane } from "../../src/client/control-plane-client.ts";
import { residentMemory } from "./process-use.ts";
import type { Row } from "./results-table.ts";
import { interleave, type Measured, timed } from "./samples.ts";
import { Crew } from "./streams/crew.ts";
import { makeLocalPlace, type Place } from "./streams/place.ts";
import { type Plane, startPlane } from "./streams/plane.ts";
import { linear } from "./streams/plans.ts";
import { root } from "./streams/programs.ts";

const PATIENCE_MS = 30_000;
/** Memory is at rest when it has changed by no more than this, in MB, for so many looks, a second apart. */
const AT_REST = { megabytes: 0.5, looks: 3 } as const;

interface Part {
  /** As in the plan. */
  readonly id: string;
  readonly builtin: string;
  config(folder: string): object;
}

/** One of each type; the source makes an event an hour. */
const PARTS: readonly Part[] = [
  { id: "source", builtin: "generator", config: () => ({ rate: 1 / 3600 }) },
  { id: "middle", builtin: "filter", config: () => ({ where: "true" }) },
  { id: "sink", builtin: "file", config: (folder) => ({ path: join(folder, "out.jsonl") }) },
];

/** Where components are started: a control plane that knows them, and its word on who is registered. */
interface Stage {
  readonly place: Place;
  readonly plane: Plane;
  readonly client: ControlPlaneClient;
}

/**
 * From the spawn of a built-in component to the control plane's word that it is registered, beside a Node.js that does
 * nothing; and the memory of three connected components that have nothing to do.
 */
export async function measureComponentStart(rounds: number): Promise<readonly Row[]> {
  const place = await makeLocalPlace();
  const crew = new Crew();
  let client: ControlPlaneClient | undefined;
  try {
    const plane = await startPlane(place, crew, linear("filter"));
    client = connectControlPlane(plane.address);
    const stage: Stage = { place, plane, client };
    return [...(await measureStart(stage, rounds)), ...(await measureIdle(stage, rounds))];
  } finally {
    client?.close();
    await crew.dismiss();
    await place.dispose();
  }
}

async function measureStart(stage: Stage, rounds: number): Promise<Row[]> {
  const starts = await interleave(
    [
      ...PARTS.map((part) => ({ name: part.builtin, run: () => alone((crew) => start(stage, part, crew)) })),
      { name: "node -e 0", run: bareStart },
    ],
    rounds,
  );
  const what = "from spawn to registered";
  const baseline = starts.at(-1)!;
  const started = starts.slice(0, -1);
  return [
    ...started.map((measured): Row => ({ what, unit: "ms", measured, baseline })),
    { what, unit: "ms", measured: worst("slowest of a round", started), goal: { atMost: 200 } },
  ];
}

/** Milliseconds until it is registered; it is running then. */
async function start(stage: Stage, part: Part, crew: Crew, onStart?: (child: ChildProcess) => void): Promise<number> {
  const { place, plane, client } = stage;
  const watching = new AbortController();
  const registered = await registrationOf(client, part.id, watching.signal);
  try {
    const address = await place.addressOf(part.id);
    const environment = {
      ...(await plane.environment(part.id, 1, address)),
      FLOWCTL_CONFIG: JSON.stringify(part.config(place.folderOf(part.id))),
    };
    return await timed(async () => {
      const child = place.start(part.id, [join(root, "dist/component.js"), part.builtin], environment);
      crew.add(part.id, child, () => undefined);
      onStart?.(child);
      await crew.during(registered.seen, `starting ${part.builtin}`, PATIENCE_MS);
    });
  } finally {
    watching.abort();
  }
}

/** Waits from now on for the instance to be registered. */
async function registrationOf(client: ControlPlaneClient, id: string, signal: AbortSignal) {
  let last = 0;
  for await (const event of client.watchEvents({ after: 0, follow: false }, signal)) last = event.sequence;
  const seen = (async () => {
    for await (const { type, componentId } of client.watchEvents({ after: last, follow: true }, signal)) {
      if (type === "instance.registered" && componentId === id) return;
    }
  })();
  return { seen };
}

function bareStart(): Promise<number> {
  return alone((crew) =>
    timed(async () => {
      crew.add("node", spawn(process.execPath, ["-e", "0"], { stdio: ["ignore", "pipe", "pipe"] }), () => undefined);
      await crew.during(crew.ended(), "starting Node.js", PATIENCE_MS);
    }),
  );
}

async function measureIdle(stage: Stage, rounds: number): Promise<Row[]> {
  const names = [...PARTS.map(({ builtin }) => builtin), "node that idles"];
  const looks: (readonly Look[])[] = [];
  for (let round = 0; round < rounds; round += 1) looks.push(await alone((crew) => lookAtIdle(stage, crew)));
  const measuredOf = (field: keyof Look): Measured[] =>
    names.map((name, index) => ({ name, samples: looks.map((look) => look[index]![field]) }));
  const rows = (what: string, measured: readonly Measured[]): Row[] =>
    measured.slice(0, -1).map((one) => ({ what, unit: "MB", measured: one, baseline: measured.at(-1)! }));
  const what = "idle, resident memory";
  const resident = measuredOf("all");
  return [
    ...rows(what, resident),
    { what, unit: "MB", measured: worst("largest of a round", resident.slice(0, -1)), goal: { atMost: 60 } },
    ...rows("idle, memory of its own", measuredOf("own")),
  ];
}

type Look = NonNullable<ReturnType<typeof residentMemory>>;

/** Memory of each component and of a Node.js that does nothing, in MB, once all of them are at rest. */
async function lookAtIdle(stage: Stage, crew: Crew): Promise<readonly Look[]> {
  const children: ChildProcess[] = [];
  for (const part of PARTS) await start(stage, part, crew, (child) => children.push(child));
  const bare = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: ["ignore", "pipe", "pipe"] });
  crew.add("node", bare, () => undefined);
  const look = (): Look[] => [...children, bare].map(({ pid }) => residentMemory(pid!)!);
  const rest = async (): Promise<readonly Look[]> => {
    for (let before = look(), still = 0; ; ) {
      await wait(1_000);
      const now = look();
      const isStill = now.every(({ all }, index) => Math.abs(all - before[index]!.all) <= AT_REST.megabytes);
      still = isStill ? still + 1 : 0;
      if (still === AT_REST.looks) return now;
      if (!isStill) before = now;
    }
  };
  return await crew.during(rest(), "coming to rest", 2 * PATIENCE_MS);
}

/** Does something with programs of its own, which do not outlive it. */
async function alone<T>(work: (crew: Crew) => Promise<T>): Promise<T> {
  const crew = new Crew();
  try {
    return await work(crew);
  } finally {
    await crew.dismiss();
  }
}

/** The highest sample of each round. */
function worst(name: string, measured: readonly Measured[]): Measured {
  const [first] = measured;
  return { name, samples: first!.samples.map((_, round) => Math.max(...measured.map((one) => one.samples[round]!))) };
}

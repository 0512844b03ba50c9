import { join } from "node:path";
import { Crew } from "./crew.ts";
import type { Message, Settings } from "./parts/settings.ts";
import { type MakePlace, makeLocalPlace, type Place } from "./place.ts";
import { type Plane, startPlane } from "./plane.ts";
import type { PartPlan, Plan } from "./plans.ts";
import { type Program, type Programs, root } from "./programs.ts";

export interface PartsOptions {
  readonly program: Program;
  readonly plan: Plan;
  /** Events that each sink waits for. */
  readonly count: number;
  readonly size: number;
  readonly rate?: number;
  readonly batch?: number;
  /** See `Settings`. */
  readonly anew?: boolean;
  readonly awaited?: boolean;
  /** The pipeline has an identity, on processes of this machine only; else everybody speaks in the clear. */
  readonly identity?: boolean;
  /** See `PlaneOptions`. */
  readonly certificateSeconds?: number;
  /** Left out: processes of this machine. */
  readonly place?: MakePlace;
}

/** The programs of a plan, running. */
export interface Parts {
  readonly crew: Crew;
  /** Ends whatever is left, and removes what the run made. */
  dispose(): Promise<void>;
}

/** What a program says on its standard output. */
export type OnSaid = (instance: string, component: string, message: Message, value: unknown) => void;

const STARTING_PATIENCE_MS = 60_000;
/** So many programs start at once: they are work for every processor, and a registration has its deadline. */
const START_TOGETHER = 8;

/**
 * Starts the programs of a plan, each a process of its own, from the sinks to the sources, and resolves when all are up.
 *
 * @param pids gets the process of each instance, and of `control-plane`, where they are ours to look at.
 */
export async function startParts(
  programs: Programs,
  options: PartsOptions,
  pids: Map<string, number>,
  onSaid: OnSaid,
): Promise<Parts> {
  const place = await (options.place ?? makeLocalPlace)();
  const crew = new Crew();
  const dispose = async (): Promise<void> => {
    await crew.dismiss();
    await place.dispose();
  };
  try {
    const plane = options.program === "flowctl" ? await startPlane(place, crew, options.plan, options) : undefined;
    if (plane?.pid !== undefined) pids.set("control-plane", plane.pid);
    await startInstances(programs, options, { place, crew, plane, pids, onSaid });
    return { crew, dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

interface Run {
  readonly place: Place;
  readonly crew: Crew;
  readonly plane: Plane | undefined;
  readonly pids: Map<string, number>;
  readonly onSaid: OnSaid;
}

async function startInstances(programs: Programs, options: PartsOptions, run: Run): Promise<void> {
  const { place, crew } = run;
  const instances = options.plan.toReversed().flatMap((part) => {
    return Array.from({ length: part.replicas ?? 1 }, (_, index) => ({ part, number: index + 1 }));
  });
  const addresses = new Map<string, { bind: string; dial: string }>();
  for (const { part, number } of instances) {
    const instance = `${part.id}-${number}`;
    addresses.set(instance, await place.addressOf(instance));
  }
  for (let first = 0; first < instances.length; first += START_TOGETHER) {
    const together = instances.slice(first, first + START_TOGETHER);
    const up = together.map(({ part, number }) => startInstance(programs, options, run, part, number, addresses));
    await crew.during(Promise.all(up), "starting", STARTING_PATIENCE_MS);
  }
}

/** Resolves when the program says that it is up. */
async function startInstance(
  programs: Programs,
  options: PartsOptions,
  { place, crew, plane, pids, onSaid }: Run,
  part: PartPlan,
  number: number,
  addresses: ReadonlyMap<string, { bind: string; dial: string }>,
): Promise<void> {
  const instance = `${part.id}-${number}`;
  const address = addresses.get(instance)!;
  const settings: Settings = {
    role: part.role,
    count: options.count,
    size: options.size,
    rate: options.rate ?? 0,
    batch: options.batch ?? 1,
    listen: address.bind,
    upstream: addresses.get(`${part.from[0] ?? ""}-1`)?.dial ?? "",
    groups: options.plan.filter(({ from }) => from.includes(part.id)).length,
    anew: options.anew ?? false,
    awaited: options.awaited ?? false,
    broker: "",
  };
  const child = place.start(instance, [...nodeOptions(), programs.pathOf(options.program)], {
    BENCH: JSON.stringify(settings),
    BENCH_PROTO: join(root, "proto"),
    ...(await plane?.environment(part.id, number, address)),
  });
  const pid = place.pidOf(child);
  if (pid !== undefined) pids.set(instance, pid);
  return await new Promise((resolve) => {
    crew.add(instance, child, (line) => {
      const said = /^(UP|BEGUN|RESULT|SHORT|USED) (\{.*\})$/.exec(line);
      if (said === null) return;
      if (said[1] === "UP") resolve();
      else onSaid(instance, part.id, said[1] as Message, JSON.parse(said[2]!));
    });
  });
}

/** Options for node that the caller gives the programs, such as `--cpu-prof --cpu-prof-dir=DIR` to see where time goes. */
function nodeOptions(): readonly string[] {
  return (process.env.BENCH_NODE_OPTIONS ?? "").split(" ").filter((option) => option !== "");
}

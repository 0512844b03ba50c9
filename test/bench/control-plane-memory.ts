import { spawn } from "node:child_process";
import { setTimeout as wait } from "node:timers/promises";
import { processorSeconds, residentMemory } from "./process-use.ts";
import { registerComponents } from "./registered-components.ts";
import type { Row } from "./results-table.ts";
import { interleave, type Measured } from "./samples.ts";
import { Crew } from "./streams/crew.ts";
import { portOf } from "./streams/parts/settings.ts";
import { makeLocalPlace } from "./streams/place.ts";
import { PIPELINE, startPlane } from "./streams/plane.ts";
import { chain } from "./streams/plans.ts";

const COMPONENTS = 100;
/** What the registrations themselves needed is done with by then. */
const SETTLED_MS = 5_000;
/** Two heartbeats and four health polls of every component fall into it. */
const OBSERVED_MS = 20_000;

interface Observed {
  /** Megabytes in memory, with the pages of the Node.js binary that all its processes share. */
  readonly resident: number;
  /** Megabytes of its own: without what is mapped from files. */
  readonly own: number;
  readonly processorPercent: number;
}

/** What was observed of one subject in the rounds that count. */
class Subject {
  readonly name: string;
  private readonly observe: () => Promise<Observed>;
  private readonly all: Observed[] = [];

  constructor(name: string, observe: () => Promise<Observed>) {
    this.name = name;
    this.observe = observe;
  }

  async run(round: number): Promise<number> {
    const observed = await this.observe();
    if (round > 0) this.all.push(observed);
    return observed.resident;
  }

  measured(field: keyof Observed): Measured {
    return { name: this.name, samples: this.all.map((observed) => observed[field]) };
  }
}

/** Memory and processor time of a control plane with registered, heartbeating, health-polled components. */
export async function measureControlPlane(rounds: number, components = COMPONENTS): Promise<readonly Row[]> {
  const loaded = new Subject(`control plane, ${components} components`, () => observeControlPlane(components));
  const empty = new Subject("control plane, none registered", () => observeControlPlane(0));
  const bare = new Subject("node that idles", observeBareNode);
  await interleave([loaded, empty, bare], rounds);
  const baseline = bare.measured("resident");
  return [
    { what: "resident memory", unit: "MB", measured: loaded.measured("resident"), baseline },
    { what: "resident memory", unit: "MB", measured: empty.measured("resident"), baseline },
    { what: "memory of its own", unit: "MB", measured: loaded.measured("own"), goal: { atMost: 50 } },
    { what: "memory of its own", unit: "MB", measured: empty.measured("own"), baseline: bare.measured("own") },
    {
      ...{ what: "processor", unit: "% of a core", measured: loaded.measured("processorPercent") },
      goal: { atMost: 5 },
    },
  ];
}

async function observeControlPlane(count: number): Promise<Observed> {
  const place = await makeLocalPlace();
  const crew = new Crew();
  const plan = chain(Math.max(1, count - 2));
  try {
    const plane = await startPlane(place, crew, plan, { host: "0.0.0.0" });
    const components = await registerComponents(PIPELINE, count === 0 ? [] : plan, portOf(plane.address));
    try {
      await crew.during(wait(SETTLED_MS), "settling", SETTLED_MS * 2);
      const [began, before] = [performance.now(), processorSeconds(plane.pid!)!];
      await crew.during(wait(count === 0 ? 1_000 : OBSERVED_MS), "observing", OBSERVED_MS * 2);
      const seconds = processorSeconds(plane.pid!)! - before;
      const { all, own } = residentMemory(plane.pid!)!;
      return { resident: all, own, processorPercent: (100_000 * seconds) / (performance.now() - began) };
    } finally {
      components.dispose();
    }
  } finally {
    await crew.dismiss();
    await place.dispose();
  }
}

async function observeBareNode(): Promise<Observed> {
  const crew = new Crew();
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: ["ignore", "pipe", "pipe"] });
  crew.add("node", child, () => undefined);
  try {
    await crew.during(wait(1_000), "idling", 10_000);
    const { all, own } = residentMemory(child.pid!)!;
    return { resident: all, own, processorPercent: 0 };
  } finally {
    await crew.dismiss();
  }
}

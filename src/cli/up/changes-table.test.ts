import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { builtinCatalog } from "../../components/catalog.ts";
import type { ImageFacts } from "../../drivers/docker/container/container-spec.ts";
import { desiredResources as dockerResources } from "../../drivers/docker/resources/resources.ts";
import type { Deployment, DesiredResource, ObservedResource } from "../../drivers/driver.ts";
import { desiredResources as processResources } from "../../drivers/process/prepare.ts";
import { loadPipeline } from "../../pipeline/load-pipeline.ts";
import type { Pipeline } from "../../pipeline/pipeline.ts";
import { componentSchema } from "../../pipeline/schema/component.ts";
import { knownKeys } from "../../pipeline/schema/known-keys.ts";
import { type Plan, resourceOf } from "../../planner/plan.ts";
import { planUp } from "../../planner/plan-up.ts";
import { pipelineSpec } from "../pipeline-spec.ts";
import { type KeyEdit, keyEdits } from "./key-edits.fake.ts";
import { liveChanges } from "./live-changes.ts";

const guide = new URL("../../../docs/guides/changing-a-running-pipeline.md", import.meta.url);
const drivers = ["docker", "process"] as const;
type DriverName = (typeof drivers)[number];

const folder = mkdtempSync(join(tmpdir(), "flowctl-keys-"));
mkdirSync(join(folder, "files"));
writeFileSync(join(folder, "one.env"), "A=1\n");
writeFileSync(join(folder, "two.env"), "A=2\n");
for (const path of ["Dockerfile", "Other", "files/Dockerfile"]) writeFileSync(join(folder, path), "FROM a\n");
afterAll(() => rmSync(folder, { recursive: true }));

/** One row of the guide: the keys it is about, and what it says of each driver. */
interface Row {
  readonly keys: readonly string[];
  readonly docker: string;
  readonly process: string;
  readonly effect: string;
}

function rowsOf(text: string): readonly Row[] {
  return text.split("\n").flatMap((line) => {
    const [, keys = "", docker = "", process = "", effect = ""] = line.split("|").map((cell) => cell.trim());
    if (!keys.startsWith("`")) return [];
    return [{ keys: [...keys.matchAll(/`([^`]+)`/g)].map(([, key = ""]) => key), docker, process, effect }];
  });
}

/** Every key that has a value of its own, such as `inputs.buffer.type`. */
function leavesOf(path: readonly string[] = []): readonly string[] {
  for (const below of [path, [...path, "*"]]) {
    const keys = knownKeys(componentSchema, below);
    if (keys.length > 0) return keys.flatMap((key) => leavesOf([...below, key]));
  }
  return [path.filter((key) => key !== "*").join(".")];
}

/** The row of a key is the one that names it or, most closely, a key above it. */
function rowOf(rows: readonly Row[], leaf: string): Row | undefined {
  for (let key = leaf; key !== ""; key = key.slice(0, Math.max(0, key.lastIndexOf(".")))) {
    const found = rows.find(({ keys }) => keys.includes(key));
    if (found !== undefined) return found;
  }
  return undefined;
}

async function load({ section }: KeyEdit, work: Readonly<Record<string, unknown>>): Promise<Pipeline> {
  const reads = section === "sinks" ? [] : ["work"];
  const file = {
    name: "p",
    sources: { feed: { uses: "generator" }, other: { uses: "generator" } },
    sinks: {
      rest: { uses: "discard", inputs: ["feed", "other", ...reads] },
      bad: { uses: "discard", inputs: ["feed"] },
    },
    secrets: { one: { environment: "ONE" }, two: { environment: "TWO" } },
    configs: { one: { content: "1" }, two: { content: "2" } },
    networks: { back: {}, front: {} },
    volumes: { data: {}, more: {} },
  };
  const whole = { ...file, [section]: { ...file[section as "sinks"], work } };
  const path = join(folder, "flowctl.yaml");
  writeFileSync(path, JSON.stringify(whole));
  const result = await loadPipeline({ files: [path], env: { ONE: "1", TWO: "2" }, catalog: builtinCatalog });
  if (!result.ok) throw new Error(result.problems.map(({ message }) => message).join("\n"));
  return result.pipeline;
}

const sha = (text: string | Uint8Array): string => createHash("sha256").update(text).digest("hex");

/** A value for whatever is granted. */
function valuesOf(pipeline: Pipeline, kind: "secrets" | "configs"): ReadonlyMap<string, Uint8Array> {
  const granted = pipeline.components.flatMap((component) => component[kind]);
  return new Map(granted.map(({ source }) => [source, Buffer.from(source)]));
}

function resourcesOn(driver: DriverName, pipeline: Pipeline): readonly DesiredResource[] {
  const deployment: Deployment = {
    pipeline,
    secretValues: valuesOf(pipeline, "secrets"),
    configValues: valuesOf(pipeline, "configs"),
    options: { persistence: true, logLevel: "info" },
  };
  if (driver === "process") {
    const entries = { supervisor: ["s"], component: ["c"], supervisorCode: "s1", componentCode: "c1" };
    const context = { entries, version: "1", path: "/usr/bin:/bin", digest: sha };
    return processResources(deployment, context, { progress: () => {} });
  }
  const factsOf = (name: string): ImageFacts => {
    return { name, reference: `sha256:${sha(name)}`, user: "", volumes: [], healthcheck: false };
  };
  const owners = pipeline.components.filter(({ uses }) => uses === undefined);
  const images = new Map(owners.map(({ id, image = `built-${id}` }) => [id, factsOf(image)]));
  const hosts = new Map<string, { folders: []; files: [] }>();
  return dockerResources(deployment, {
    flowctlImage: factsOf("flowctl"),
    images,
    hosts,
    authority: "a",
    hashKey: new Uint8Array(32),
  });
}

function running({ key, kind, owner, index, hash, parts }: DesiredResource): ObservedResource {
  const state = { status: "running", startedAt: 1, health: "healthy", restarts: 0 } as const;
  return { key, kind, owner, index, hash, parts, state, ref: key, name: key, ports: [] };
}

interface Edited {
  readonly plan: Plan;
  /** Whether the control plane is told anything else than before. */
  readonly told: boolean;
}

async function edit(driver: DriverName, change: KeyEdit): Promise<Edited> {
  const before = await load(change, change.before);
  const after = await load(change, change.after);
  const [old, wanted] = [resourcesOn(driver, before), resourcesOn(driver, after)];
  const [was, is] = [pipelineSpec(before, driver, old), pipelineSpec(after, driver, wanted)];
  const plan = planUp("p", wanted, old.map(running), { live: liveChanges(was, is) });
  return { plan, told: JSON.stringify(was) !== JSON.stringify(is) };
}

/** What the plan does to the component, in the words of the table. */
function outcomeOf({ steps, live = [] }: Plan): string {
  const own = steps.filter(({ change }) => resourceOf(change).owner === "work");
  if (own.some(({ change }) => change.action === "replace")) return "replaced";
  if (own.some(({ change }) => resourceOf(change).index > 1)) return "scaled";
  if (own.length > 0) return "added or removed";
  return live.length > 0 ? "live" : "no effect";
}

/** What a cause calls a key that has another name there. */
const causes: Readonly<Record<string, string>> = { env_file: "environment", deploy: "deploy.resources" };

describe("the table of keys in the guide", () => {
  const text = readFileSync(guide, "utf8");
  const rows = rowsOf(text);
  const leaves = leavesOf();
  const guideSays = (words: string): boolean => text.replaceAll(/\s+/g, " ").includes(words);

  it("names every key of a component and of an input, each once, and none that does not exist", () => {
    expect(leaves.filter((leaf) => rowOf(rows, leaf) === undefined)).toEqual([]);
    const named = rows.flatMap(({ keys }) => keys);
    expect(named).toEqual([...new Set(named)]);
    const exists = (key: string): boolean => leaves.some((leaf) => rowOf(rows, leaf)?.keys.includes(key));
    expect(named.filter((key) => !exists(key))).toEqual([]);
  });

  it("is held against an edit of every key", () => {
    expect(Object.keys(keyEdits).sort()).toEqual([...leaves].sort());
  });

  describe.each(drivers)("says what happens on the driver %s", (driver) => {
    it.each(Object.entries(keyEdits))("when %s is edited", async (leaf, change) => {
      const row = rowOf(rows, leaf);
      const { plan, told } = await edit(driver, change);
      const outcome = outcomeOf(plan);
      expect(outcome).toBe(row?.[driver]);

      const key = leaf.split(".")[0] as string;
      const { steps, live = [] } = plan;
      // Nothing happens to what is above or below, nor to what it waits for.
      const others = steps.map(({ change: step }) => resourceOf(step)).filter(isOther);
      const besides =
        row?.effect.includes("so is the control plane") && outcome === "replaced" ? ["control-plane"] : [];
      expect(others.map(({ kind }) => kind)).toEqual(besides);
      for (const { change: step } of outcome === "replaced" ? steps : []) {
        expect(step.cause.replace(/ changed$/, "").split(", ")).toContain(causes[key] ?? key);
      }
      expect(plan.notes.filter((note) => !guideSays(note))).toEqual([]);
      for (const one of live) {
        expect(one.key.split(".")[0]).toBe(key);
        const effect = one.effect.replaceAll(/\b(feed|other)\b/g, "the upstream").split("; ")[0];
        if (outcome === "live") expect(row?.effect).toContain(effect);
        else expect(guideSays(effect as string), effect).toBe(true);
      }
      expect(live.length > 0).toBe(outcome === "live" || outcome === "scaled");
      // A limit that only containers have is told for what is said of a program that ran out of memory.
      if (told && leaf !== "deploy.resources.limits.memory") expect([...steps, ...live]).not.toEqual([]);
    });
  });
});

function isOther({ kind, owner }: { readonly kind: string; readonly owner: string }): boolean {
  return kind === "control-plane" || kind === "network" || (kind === "component" && owner !== "work");
}

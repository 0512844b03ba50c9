import type { Random } from "../../chaos/harness/random.ts";
import { hostileText } from "./values.ts";

const PLACES = [
  "name",
  "driver",
  "sources.feed.uses",
  "sources.feed.image",
  "sources.feed.command",
  "sources.feed.with",
  "sources.feed.environment",
  "sources.feed.labels",
  "sources.feed.user",
  "sources.feed.volumes",
  "sources.feed.ports",
  "sources.feed.env_file",
  "sources.feed.extra_hosts",
  "sources.feed.deploy",
  "sinks.out.inputs",
  "sinks.out.build",
  "sinks.out.healthcheck",
  "sinks.out.secrets",
  "secrets.s",
  "configs.c",
  "volumes.v",
  "networks.n",
  "services.db.image",
  "include",
  "schemas",
  "x-any",
];

/** The text of a pipeline file. */
export function pipelineText(seeds: readonly string[], random: Random): string {
  const kind = random.weighted({ placed: 40, seed: 40, bomb: 8, deep: 4, scalar: 4, noise: 4 });
  if (kind === "bomb") return bomb(random);
  if (kind === "deep") return deep(random);
  if (kind === "scalar") return `name: ${JSON.stringify("x".repeat(random.below(2_000_000)))}\n`;
  if (kind === "noise")
    return Buffer.from(Array.from({ length: random.below(200) }, () => random.below(256))).toString("latin1");
  const text = kind === "seed" ? random.pick(seeds) : placed(random);
  return random.chance(0.5) ? text : disturbed(text, random);
}

/** A whole file, in whose places stands what somebody may take for something else. */
function placed(random: Random): string {
  const file: Record<string, unknown> = {
    name: "quakes",
    driver: "docker",
    sources: { feed: { uses: "generator", with: {} } },
    sinks: { out: { image: "ghcr.io/acme/out:1", inputs: ["feed"] } },
  };
  for (let times = random.between(1, 4); times > 0; times--) {
    const keys = random
      .pick(PLACES)
      .split(".")
      .map((key) => (random.chance(0.05) ? hostileText(random) : key));
    let at = file;
    for (const key of keys.slice(0, -1)) {
      const inner = Object.hasOwn(at, key) ? at[key] : undefined;
      if (typeof inner === "object" && inner !== null && !Array.isArray(inner)) at = inner as Record<string, unknown>;
      else {
        const made = {};
        define(at, key, made);
        at = made;
      }
    }
    define(at, keys.at(-1)!, valueFor(random));
  }
  // JSON is YAML.
  return JSON.stringify(file, null, random.below(3));
}

function define(at: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(at, key, { value, enumerable: true, configurable: true, writable: true });
}

function valueFor(random: Random, depth = 0): unknown {
  const kind = random.weighted({ text: 60, number: 10, list: 10, map: 15, null: 5 });
  if (kind === "text") return random.chance(0.5) ? hostileText(random).slice(0, 3_000) : interpolated(random);
  if (kind === "number") return random.pick([0, -1, 1e21, 1.5, 65_536, 2 ** 53, 999_999_999]);
  if (kind === "null" || depth > 3) return null;
  const values = Array.from({ length: random.below(4) }, () => valueFor(random, depth + 1));
  if (kind === "list") return values;
  const keys = [
    "target",
    "source",
    "replicas",
    "test",
    "from",
    "file",
    "limits",
    "retries",
    "context",
    "type",
    "driver",
  ];
  return Object.fromEntries(
    values.map((value) => [random.chance(0.7) ? random.pick(keys) : hostileText(random).slice(0, 50), value]),
  );
}

function interpolated(random: Random): string {
  const inner = hostileText(random).slice(0, 100);
  return random.pick([
    "${HOME}",
    `\${X:-${inner}}`,
    "${".repeat(1 + random.below(200)),
    "${X:?",
    "$$",
    `\${${inner}}`,
    "${A:-${A:-${A}}}",
  ]);
}

/** Few lines that stand for very much. */
function bomb(random: Random): string {
  const levels = 2 + random.below(40);
  const width = 2 + random.below(12);
  const merge = random.chance(0.3);
  const lines = ["x-0: &a0 { k: v }"];
  for (let level = 1; level <= levels; level++) {
    const below = Array<string>(width).fill(`*a${level - 1}`);
    lines.push(
      merge
        ? `x-${level}: &a${level} { <<: [${below.join(", ")}], k${level}: v }`
        : `x-${level}: &a${level} [${below.join(", ")}]`,
    );
  }
  const use = random.pick([
    "sources: *aN",
    "name: *aN",
    "sources: { feed: { uses: generator, with: *aN } }",
    "sinks: { <<: *aN }",
    "x-cycle: &c [*c]",
  ]);
  return [...lines, use.replace("aN", `a${levels}`)].join("\n");
}

function deep(random: Random): string {
  const depth = 1 + random.below(20_000);
  const [open = "[", close = "]"] = random.pick([
    ["[", "]"],
    ["{a: ", "}"],
    ["- ", ""],
    ["? ", ""],
  ] as const);
  return `name: x\nx-deep: ${random.chance(0.5) ? "\n  " : ""}${open.repeat(depth)}${random.chance(0.5) ? close.repeat(depth) : ""}`;
}

function disturbed(text: string, random: Random): string {
  const at = random.below(text.length + 1);
  const insertion = random.pick([
    "*a",
    "&a ",
    "<<: *a\n",
    "!!binary ",
    "!reset ",
    "\t",
    "\n",
    "{",
    "}",
    "[",
    "- ",
    ": ",
    "#",
    "'",
    '"',
    "|\n",
    "\0",
    "%YAML 1.2\n",
    hostileText(random).slice(0, 200),
  ]);
  return text.slice(0, at) + insertion + text.slice(at + random.below(random.chance(0.5) ? 1 : 40));
}

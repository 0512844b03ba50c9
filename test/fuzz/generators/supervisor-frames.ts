import type { Random } from "../../chaos/harness/random.ts";
import type { Ending } from "../connections.ts";
import { hostileNumber, hostileText } from "./values.ts";

/** What somebody says on one connection to the supervisor. */
export interface SupervisorShot {
  readonly pieces: readonly Buffer[];
  readonly ending: Ending;
}

export function supervisorShot(random: Random): SupervisorShot {
  const kind = random.weighted({ request: 60, damaged: 25, noise: 5, endless: 0.1, nothing: 2, pieces: 5 });
  const ending = random.weighted({ end: 50, destroy: 40, wait: 10 });
  if (kind === "nothing") return { pieces: [], ending };
  if (kind === "noise")
    return { pieces: [Buffer.from(Array.from({ length: random.below(200) }, () => random.below(256)))], ending };
  // A line that never ends.
  if (kind === "endless")
    return { pieces: Array(random.below(64)).fill(Buffer.alloc(1024 * 1024, 0x20)), ending: "end" };
  const line = Buffer.from(`${JSON.stringify(request(random))}\n`);
  if (kind === "damaged") return { pieces: [damaged(line, random)], ending };
  if (kind === "pieces") return { pieces: Array.from(line.subarray(0, 40), (byte) => Buffer.from([byte])), ending };
  const lines = Array<Buffer>(random.chance(0.9) ? 1 : 1 + random.below(50)).fill(line);
  return { pieces: lines, ending };
}

/** Nothing that is right besides a greeting: what is right may do what it says. */
function request(random: Random): unknown {
  const v = random.chance(0.9) ? 1 : anyValue(random);
  const kind = random.weighted({ hello: 20, events: 15, shutdown: 15, apply: 40, unknown: 10, odd: 10 });
  switch (kind) {
    case "hello":
      return { v, method: "hello", [hostileText(random)]: anyValue(random) };
    case "events":
      return { v, method: "events", since: random.chance(0.5) ? hostileNumber(random) : anyValue(random) };
    case "shutdown":
      return { v, method: "shutdown", instances: random.pick(["", "all", "STOP", 1, null, ["stop"], {}]) };
    case "apply":
      return { v, method: "apply", ...odd({ change: change(random), force: false, secrets: {}, configs: {} }, random) };
    case "unknown":
      return { v, method: random.pick(["", "toString", "__proto__", "constructor", "remove", hostileText(random)]) };
    default:
      return anyValue(random);
  }
}

function change(random: Random): unknown {
  const owner = random.pick(["nobody", "nobody", "../../x", hostileText(random)]);
  const identity = odd(
    { key: `component/${owner}-1`, kind: "component", owner, index: 1, hash: "", parts: {} },
    random,
  );
  const action = random.pick([
    "create",
    "replace",
    "start",
    "stop",
    "restart",
    "remove",
    "",
    "toString",
    anyValue(random),
  ]);
  // Of a resource that has to be there, and one that lacks what it takes to make it.
  const observed = odd({ ...identity, ref: "0", state: { status: "running" } }, random);
  const resource = odd({ ...identity, spec: anyValue(random), after: [] }, random);
  return random.chance(0.1) ? anyValue(random) : { action, observed, resource, cause: hostileText(random) };
}

/** One of its values is another. */
function odd(value: Readonly<Record<string, unknown>>, random: Random): Record<string, unknown> {
  const key = random.pick(Object.keys(value));
  return { ...value, [key]: anyValue(random) };
}

function anyValue(random: Random): unknown {
  return random.pick([
    null,
    true,
    -1,
    1e308,
    "",
    [],
    {},
    [[[[]]]],
    { __proto__: null, toString: 1 },
    { length: 1e9 },
    hostileText(random),
    JSON.parse(`{"__proto__":{"v":1}}`),
  ]);
}

function damaged(line: Buffer, random: Random): Buffer {
  const at = random.below(line.length);
  switch (random.pick(["cut", "byte", "deep", "twice"])) {
    case "cut":
      return line.subarray(0, at);
    case "byte":
      return Buffer.concat([line.subarray(0, at), Buffer.from([random.below(256)]), line.subarray(at + 1)]);
    case "deep":
      return Buffer.from(`${random.pick(["[", '{"a":']).repeat(1 + random.below(20_000))}\n`);
    default:
      return Buffer.concat([line.subarray(0, -1), line]);
  }
}

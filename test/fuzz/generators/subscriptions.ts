import { encodeRequest, SUBSCRIBE_PATH } from "../../../src/protocol/stream-codec.ts";
import type { Random } from "../../chaos/harness/random.ts";
import { framed, grpcShot, type Shot } from "./grpc-shots.ts";
import { hostileNumber, hostileText } from "./values.ts";
import { mutated } from "./wire.ts";

/** Acknowledgements that are this high are of what was never sent. */
const NEVER_SENT = 2 ** 40;

/** Whom an attacker may claim to be. */
export interface Claims {
  /** Groups, and instances, that it names; the first one of the groups is its own where it has one. */
  readonly groups: readonly string[];
  readonly instances: (random: Random) => string;
}

/** Where nobody proves who they are: instances of the sink `lied-to`, or of `archive`. */
export const anybody: Claims = {
  groups: ["lied-to", "lied-to", "archive"],
  instances: (random) => `liar-${random.below(40)}`,
};

/** Where the attacker has the certificate of `lied-to-2` and of nobody else: itself, most of the time, or somebody whom it would have to be. */
export const lyingInstance: Claims = {
  groups: ["lied-to", "lied-to", "lied-to", "archive", "victim", "feed", "mallory"],
  instances: (random) =>
    random.pick(["lied-to-2", "lied-to-2", "lied-to-2", "lied-to-1", "archive-1", "victim-1", "lied-to-20", "feed-1"]),
};

/** One stream to a component, of somebody who claims to be a subscriber. */
export function subscription(random: Random, all: boolean, claims = anybody): Shot {
  if (all && random.chance(0.1)) return notDemanded(random);
  const open = (random: Random, credit: number, group = random.pick(claims.groups)): Buffer =>
    openAs(random, credit, group, claims);
  const answers = (random: Random, credit: number): Buffer[] => answersAs(random, credit, claims);
  const kind = random.weighted({ damaged: 30, follow: 40, stranger: 20, nothing: 5, large: 1 });
  if (kind === "damaged") {
    // Without credit: nothing is sent that damaged bytes could acknowledge.
    const messages = [open(random, 0), ...answers(random, 0)];
    const sent = messages.map((message, at) => (at === 0 && random.chance(0.5) ? message : mutated(message, random)));
    return shot(sent, random, random.weighted({ end: 70, reset: 20, hold: 10 }));
  }
  if (kind === "follow") {
    const credit = random.pick([0, 1, 100, 1e6, hostileNumber(random)]);
    return shot(
      [open(random, credit), ...answers(random, credit)],
      random,
      random.weighted({ end: 50, reset: 30, hold: 18, "hold unread": 2 }),
    );
  }
  if (kind === "stranger") return grpcShot(SUBSCRIBE_PATH, [open(random, 10, hostileText(random))], true, random);
  if (kind === "nothing") return grpcShot(SUBSCRIBE_PATH, [], false, random);
  const size = random.pick([100_000, 1_000_000, random.chance(0.05) ? 19_000_000 : 1_000]);
  return shot([Buffer.alloc(size, 0x0a), open(random, 1)], random, "end");
}

function notDemanded(random: Random): Shot {
  // `subscribe-as-honest` and `acknowledge-for-group`
  const instance = random.chance(0.5) ? "archive-1" : "liar";
  const who = { pipeline: "p", group: "archive", instanceId: instance, upstreamInstance: "", types: [] };
  const credit = { maxSequence: 100, maxBytes: 1e6 };
  const ack = encodeRequest({ kind: "ack", sequence: 1 + random.below(100) });
  return shot([encodeRequest({ kind: "open", open: { ...who, credit } }), ack], random, "hold");
}

/** An acknowledgement by somebody who has no certificate for it: of another group, or as another instance of its own. */
export function stolenAcknowledgement(random: Random): Shot {
  const [group, instanceId] = random.pick([
    ["archive", "archive-1"],
    ["archive", "lied-to-2"],
    ["lied-to", "lied-to-1"],
    ["lied-to", "archive-1"],
    ["victim", "victim-1"],
    ["lied-to", "LIED-TO-2"],
    ["lied-to/lied-to-2", "lied-to-2"],
  ] as const);
  const credit = { maxSequence: 1 + random.below(10_000), maxBytes: 1e9 };
  const upstreamInstance = random.pick(["", "feed-1"]);
  const messages = [
    encodeRequest({ kind: "open", open: { pipeline: "p", group, instanceId, types: [], credit, upstreamInstance } }),
    ...Array.from({ length: 1 + random.below(3) }, () =>
      encodeRequest({ kind: "ack", sequence: 1 + random.below(100) }),
    ),
  ];
  return shot(messages, random, random.weighted({ end: 60, reset: 20, hold: 20 }));
}

function openAs(random: Random, events: number, group: string, claims: Claims): Buffer {
  return encodeRequest({
    kind: "open",
    open: {
      pipeline: random.chance(0.95) ? "p" : hostileText(random),
      group,
      instanceId: random.chance(0.9) ? claims.instances(random) : hostileText(random),
      types: random.chance(0.1) ? [hostileText(random)] : [],
      credit: { maxSequence: events, maxBytes: random.pick([0, 1, 1e6, Number.MAX_SAFE_INTEGER]) },
      upstreamInstance: random.chance(0.8) ? "" : random.pick(["feed-1", hostileText(random)]),
    },
  });
}

/** What is never a right acknowledgement: whoever acknowledges for a group speaks for it. */
function answersAs(random: Random, credit: number, claims: Claims): Buffer[] {
  return Array.from({ length: random.below(random.chance(0.05) ? 300 : 5) }, () => {
    const grant = { maxSequence: hostileNumber(random), maxBytes: hostileNumber(random) };
    const kind = random.pick(["ack", "zero", "nack", "credit", "open"]);
    if (kind === "ack") return encodeRequest({ kind: "ack", sequence: NEVER_SENT + random.below(1e6) });
    if (kind === "zero") return encodeRequest({ kind: "ack", sequence: 0 });
    if (kind === "nack") {
      const sequence = random.chance(0.5) ? 1 + random.below(50) : hostileNumber(random);
      return encodeRequest({ kind: "nack", sequence, reason: hostileText(random) });
    }
    if (kind === "credit") return credit === 0 ? Buffer.alloc(0) : encodeRequest({ kind: "other", credit: grant });
    return openAs(random, credit, random.pick(claims.groups), claims);
  });
}

function shot(messages: readonly Buffer[], random: Random, ending: Shot["ending"]): Shot {
  const { headers } = grpcShot(SUBSCRIBE_PATH, [], false, random);
  return { headers, body: Buffer.concat(messages.map((message) => framed(message))), ending };
}

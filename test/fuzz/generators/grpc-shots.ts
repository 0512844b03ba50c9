import type { Random } from "../../chaos/harness/random.ts";
import { hostileText } from "./values.ts";
import { mutated } from "./wire.ts";

/** Names and values, in order. */
export type Headers = readonly (readonly [name: string, value: string])[];

/** One HTTP/2 stream of an attacker. */
export interface Shot {
  readonly headers: Headers;
  readonly body: Buffer;
  /** `end`: says that it is over and waits for the answer. `reset`: breaks off. `hold`: stays, and reads only if it says so. */
  readonly ending: "end" | "reset" | "hold" | "hold unread";
}

/** A message in gRPC's frame. */
export function framed(message: Buffer, length = message.length, compressed = 0): Buffer {
  const frame = Buffer.alloc(5 + message.length);
  frame[0] = compressed;
  frame.writeUInt32BE(length >>> 0, 1);
  message.copy(frame, 5);
  return frame;
}

export function grpcHeaders(path: string): Headers {
  return [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", path],
    [":authority", "x"],
    ["content-type", "application/grpc"],
    ["te", "trailers"],
  ];
}

/** The messages of one call, whole or damaged, in frames that may lie, with headers that may make no sense. */
export function grpcShot(path: string, messages: readonly Buffer[], mayBeDamaged: boolean, random: Random): Shot {
  const sent = mayBeDamaged && random.chance(0.4) ? messages.map((bytes) => mutated(bytes, random)) : messages;
  const chunks = sent.map((message) => (random.chance(0.06) ? lying(message, random) : framed(message)));
  return {
    headers: random.chance(0.06) ? hostileHeaders(path, random) : grpcHeaders(path),
    body: Buffer.concat(chunks),
    ending: random.weighted({ end: 90, reset: 6, hold: 3, "hold unread": 1 }),
  };
}

function lying(message: Buffer, random: Random): Buffer {
  const lie = random.pick(["length", "compressed", "half", "twice", "nothing", "huge"]);
  if (lie === "length") return framed(message, random.pick([0, 1, message.length + 1, 0xffffffff, 21 * 1024 * 1024]));
  if (lie === "compressed") return framed(message, message.length, 1 + random.below(255));
  if (lie === "half") return framed(message).subarray(0, random.below(message.length + 5));
  if (lie === "twice") return Buffer.concat([framed(message), framed(message)]);
  if (lie === "huge") return framed(Buffer.alloc(random.chance(0.02) ? 20_000_000 : 100_000, 0x0a));
  return Buffer.alloc(0);
}

function hostileHeaders(path: string, random: Random): Headers {
  const headers = grpcHeaders(path);
  const value = hostileText(random).slice(0, 60_000);
  const replaced = (name: string, by: string): Headers =>
    headers.map((header) => (header[0] === name ? [name, by] : header));
  const kind = random.pick(["replaced", "timeout", "encoding", "many", "binary", "twice", "missing", "any"]);
  if (kind === "replaced") {
    const [name] = random.pick(headers);
    return replaced(name, random.pick([value, "GET", "application/json", "/", "//", "*", ""]));
  }
  if (kind === "timeout") return [...headers, ["grpc-timeout", random.pick(["0n", "1n", "99999999H", "-1S", value])]];
  if (kind === "encoding") return [...headers, ["grpc-encoding", random.pick(["gzip", "deflate", "identity", value])]];
  if (kind === "binary") return [...headers, ["x-bin", value], ["flowctl-error-bin", "%%%"]];
  if (kind === "twice") return [...headers, random.pick(headers)];
  if (kind === "missing") return headers.filter(() => random.chance(0.7));
  if (kind === "any") return [...headers, [hostileText(random).slice(0, 100), value]];
  return [...headers, ...Array.from({ length: random.below(1_000) }, (_, at) => [`x-${at}`, "y"] as const)];
}

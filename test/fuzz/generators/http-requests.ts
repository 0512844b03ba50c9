import type { Random } from "../../chaos/harness/random.ts";
import type { Ending } from "../connections.ts";
import { hostileText } from "./values.ts";

/** What somebody sends on one connection to an HTTP server, piece by piece, and how it ends that. */
export interface HttpShot {
  readonly pieces: readonly Buffer[];
  readonly ending: Ending;
}

const METHODS = ["GET", "GET", "GET", "HEAD", "POST", "PUT", "OPTIONS", "CONNECT", "PRI", "TRACE", "get", "G T", ""];
const VERSIONS = ["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "http/1.1", ""];

/** Headers by which two servers in a row may disagree where a request ends, and others that make no sense. */
const HEADERS = [
  "Host: x",
  "Host:",
  "Host: x\r\nHost: y",
  "Connection: close",
  "Connection: keep-alive",
  "Connection: upgrade\r\nUpgrade: websocket",
  "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAAA",
  "Content-Length: 0",
  "Content-Length: 5",
  "Content-Length: -1",
  "Content-Length: +5",
  "Content-Length: 0x5",
  "Content-Length: 99999999999999999999",
  "Content-Length: 5\r\nContent-Length: 6",
  "Content-Length: 5\r\nTransfer-Encoding: chunked",
  "Transfer-Encoding: chunked",
  "Transfer-Encoding: chunked, identity",
  "Transfer-Encoding: xchunked",
  "Transfer-Encoding : chunked",
  "Transfer-Encoding:\tchunked",
  " folded: y",
  "Expect: 100-continue",
  "Expect: something",
  "Trailer: Content-Length",
  "Range: bytes=0-,0-,0-",
  "Accept-Encoding: gzip;q=0, *;q=1e999",
  "Cookie: a=b; __proto__=c",
  "X-Forwarded-For: ../../x",
];

const BODIES = [
  "",
  "",
  "12345",
  "5\r\n12345\r\n0\r\n\r\n",
  "ffffffffffffffff\r\nx",
  "0\r\nHost: z\r\n\r\n",
  "-1\r\n",
  "GET / HTTP/1.1\r\n\r\n",
];

export function httpShot(paths: readonly string[], random: Random): HttpShot {
  const kind = random.weighted({ requests: 80, noise: 5, headers: 3, half: 6, slow: 6 });
  if (kind === "noise")
    return whole(Buffer.from(Array.from({ length: random.below(300) }, () => random.below(256))), random);
  if (kind === "headers") {
    const many = Array.from({ length: random.below(3_000) }, (_, at) => `X-${at}: y`).join("\r\n");
    return whole(Buffer.from(`GET / HTTP/1.1\r\nHost: x\r\n${many}\r\n\r\n`), random);
  }
  const count = random.chance(0.8) ? 1 : 1 + random.below(random.chance(0.05) ? 500 : 8);
  const bytes = Buffer.concat(Array.from({ length: count }, () => request(paths, random)));
  if (kind === "half") return { pieces: [bytes.subarray(0, random.below(bytes.length + 1))], ending: ending(random) };
  if (kind === "requests") return whole(bytes, random);
  const pieces = Array.from({ length: Math.min(bytes.length, 40) }, (_, at) => bytes.subarray(at, at + 1));
  return { pieces: [...pieces, bytes.subarray(pieces.length)], ending: ending(random) };
}

function request(paths: readonly string[], random: Random): Buffer {
  const method = random.chance(0.7) ? "GET" : random.pick(METHODS);
  const version = random.chance(0.8) ? "HTTP/1.1" : random.pick(VERSIONS);
  const headers = ["Host: x", ...Array.from({ length: random.below(4) }, () => random.pick(HEADERS))];
  if (random.chance(0.05)) headers.push(`X: ${hostileText(random).slice(0, 20_000)}`);
  const end = random.chance(0.97) ? "\r\n" : random.pick(["\n", "\r", "\r\r\n", ""]);
  const lines = [`${method} ${target(paths, random)} ${version}`, ...headers, ""];
  return Buffer.from(`${lines.join(end)}${end}${random.pick(BODIES)}`, random.chance(0.5) ? "latin1" : "utf8");
}

function target(paths: readonly string[], random: Random): string {
  const path = random.pick(paths);
  switch (random.weighted({ whole: 40, before: 20, after: 20, query: 10, any: 10 })) {
    case "whole":
      return path;
    case "before":
      return `${random.pick(["/", "//", "///", "http://", "http:", "https://x", "http://[", "*", "\\", "/..", "/%2e%2e", "x:"])}${path}`;
    case "after":
      return `${path}${random.pick(["/", "//", "?", "#", "%", "%00", "%ff", "?a=%", "?after=", ";x", "/../..", "\\..", "\0"])}`;
    case "query":
      return `${path}?${random.pick(["after", "a", "__proto__", ""])}=${hostileText(random).replaceAll(/\s/g, "").slice(0, 9_000)}`;
    default:
      return hostileText(random).slice(0, 20_000);
  }
}

function whole(bytes: Buffer, random: Random): HttpShot {
  return { pieces: [bytes], ending: ending(random) };
}

function ending(random: Random): Ending {
  return random.weighted({ end: 60, destroy: 30, wait: 10 });
}

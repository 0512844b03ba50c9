import { isIPv4, isIPv6 } from "node:net";

/**
 * Whether the `Host` of an HTTP request (`host`, or `host:port`) is one that no page of a stranger can send: an IP address, a
 * name without a dot, or one below `localhost` or `internal`, for which public DNS has no answers. A page whose own name was made to
 * resolve to this machine (DNS rebinding) sends that name, and is to be refused: its browser would let it read what it gets.
 *
 * Undefined, as HTTP/1.0 allows, is no browser's. Never throws: the text is a stranger's.
 */
export function isLocalHost(host: string | undefined): boolean {
  if (host === undefined) return true;
  const [, bracketed, plain = ""] = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::\d{1,5})?$/.exec(host) ?? [];
  if (bracketed !== undefined) return isIPv6(bracketed);
  const name = plain.toLowerCase().replace(/\.$/, "");
  if (isIPv4(name)) return true;
  return /^([\w-]+\.)*(localhost|internal)$/.test(name) || /^[\w-]+$/.test(name);
}

/** Sent with every answer: what is served here is data, which no page elsewhere may show, run or keep. */
export const DATA_HEADERS: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/** The answer to a request whose `Host` is a stranger's: status and text. */
export const MISDIRECTED = {
  status: 421,
  error: "the Host header names a host that is not this machine: use an IP address, localhost, or a name without a dot",
} as const;

import { isIP } from "node:net";
import type { PortMapping } from "../pipeline.ts";

/** Ports in the file are on the loopback interface unless an address is given. */
const defaultHostIp = "127.0.0.1";
const mostPorts = 1000;

/**
 * Port mappings of Compose's short syntax: `80`, `8080:80`, `127.0.0.1:8080:80/udp`, `8000-8010:9000-9010`,
 * `[::1]:80:80`. A text says what is wrong with it.
 */
export function parsePort(value: string | number): readonly PortMapping[] | string {
  const text = String(value);
  const match = /^(?:(\[[^\]]*\]|[^:[\]]*):)??(?:([0-9-]*):)?([0-9-]+)(?:\/([a-z]+))?$/i.exec(text);
  if (match === null) return "expected [address:][published:]target[/protocol]";
  const [, address = "", published = "", target = "", protocol = "tcp"] = match;
  const hostIp = address.replace(/^\[(.*)\]$/, "$1");
  if (hostIp !== "" && isIP(hostIp) === 0) return `\`${hostIp}\` is not an IP address`;
  const kind = protocol.toLowerCase();
  if (kind !== "tcp" && kind !== "udp") return `\`${protocol}\` is neither tcp nor udp`;
  return expand(hostIp, published, target, kind);
}

/** Port mappings of the long syntax. A text says what is wrong with it. */
export function expandPort(port: {
  readonly target: number | string;
  readonly published?: number | string | undefined;
  readonly host_ip?: string | undefined;
  readonly protocol?: "tcp" | "udp" | undefined;
}): readonly PortMapping[] | string {
  const hostIp = port.host_ip ?? "";
  if (hostIp !== "" && isIP(hostIp) === 0) return `\`${hostIp}\` is not an IP address`;
  return expand(hostIp, String(port.published ?? ""), String(port.target), port.protocol ?? "tcp");
}

function expand(
  hostIp: string,
  published: string,
  target: string,
  protocol: "tcp" | "udp",
): readonly PortMapping[] | string {
  const targets = range(target, 1);
  if (typeof targets === "string") return targets;
  const hosts = published === "" ? undefined : range(published, 0);
  if (typeof hosts === "string") return hosts;
  if (hosts !== undefined && hosts.length !== targets.length) {
    return "the published range and the target range differ in length";
  }
  return targets.map((port, index) => {
    const host = hosts?.[index];
    return {
      hostIp: hostIp === "" ? defaultHostIp : hostIp,
      ...(host === undefined || host === 0 ? {} : { published: host }),
      target: port,
      protocol,
    };
  });
}

function range(text: string, least: number): readonly number[] | string {
  const match = /^(\d+)(?:-(\d+))?$/.exec(text);
  if (match === null) return `\`${text}\` is neither a port nor a range of ports`;
  const first = Number(match[1]);
  const last = Number(match[2] ?? match[1]);
  if (first < least || last > 65_535) return `a port must be a number from ${Math.max(1, least)} to 65535`;
  if (last < first) return `the range \`${text}\` ends before it starts`;
  if (last - first >= mostPorts) return `the range \`${text}\` has more than ${mostPorts} ports`;
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);
const NAME = "docker0";

interface Interface {
  readonly ifname: string;
  /** MAC. */
  readonly address: string;
  readonly addr_info: readonly { readonly local: string; readonly prefixlen: number }[];
}

/**
 * Does what starts another engine, and puts the bridge of the machine's own engine back where that has taken it away: dockerd deletes
 * `docker0`, whoever's it is, when it is started again and has address pools of its own (`configureNetworking` of moby).
 */
export async function keepingDefaultBridge<Result>(what: () => Promise<Result>): Promise<Result> {
  const [before] = await show("addr", "show", "dev", NAME);
  const ports = await show("link", "show", "master", NAME);
  try {
    return await what();
  } finally {
    if (before !== undefined && (await show("addr", "show", "dev", NAME)).length === 0) await putBack(before, ports);
  }
}

async function putBack({ address, addr_info }: Interface, ports: readonly Interface[]): Promise<void> {
  // One that has no address of its own yet takes that of its first port.
  const own = /^(00:)+00$/.test(address) ? [] : ["address", address];
  await run("ip", ["link", "add", NAME, ...own, "type", "bridge"]);
  for (const { local, prefixlen } of addr_info.filter(({ local }) => !local.startsWith("fe80:")))
    await run("ip", ["addr", "add", `${local}/${prefixlen}`, "dev", NAME]);
  await run("ip", ["link", "set", NAME, "up"]);
  // Its container may have ended meanwhile.
  for (const { ifname } of ports) await run("ip", ["link", "set", ifname, "master", NAME]).catch(() => undefined);
}

/** None where there is no such interface. */
async function show(...command: readonly string[]): Promise<readonly Interface[]> {
  const { stdout } = await run("ip", ["-j", ...command]).catch(() => ({ stdout: "[]" }));
  return JSON.parse(stdout === "" ? "[]" : stdout) as Interface[];
}

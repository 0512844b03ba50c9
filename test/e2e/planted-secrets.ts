import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { cp, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { ClassicLevel } from "classic-level";
import { eventually, type Scenario } from "./checks.ts";

const run = promisify(execFile);

/** Something that can be read, and what it holds; each byte is a character. */
export type Place = readonly [name: string, content: string];

/** Values that occur nowhere else, by where they come from. */
export const plantValues = <T extends string>(...names: readonly T[]) =>
  Object.fromEntries(names.map((name) => [name, `planted${randomBytes(12).toString("hex")}`])) as Record<T, string>;

/** Where a value can be read, or anything that whoever guesses it can compare with, with what stands before it. */
export function leaks(places: readonly Place[], values: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(values).flatMap(([name, value]) =>
    places.flatMap(([place, content]) =>
      Object.entries(formsOf(value))
        .filter(([, form]) => content.includes(form))
        .map(([what, form]) => {
          const at = content.indexOf(form);
          return `${name}: ${what} in ${place}: ${content.slice(Math.max(0, at - 40), at)}`;
        }),
    ),
  );
}

function formsOf(value: string): Readonly<Record<string, string>> {
  const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 12);
  // Within a longer text it is cut at another place; the characters at its rims belong to its neighbours, too.
  const base64 = [0, 1, 2].map((offset) => {
    const encoded = Buffer.from("x".repeat(offset) + value).toString("base64");
    return [`base64 at ${offset}`, encoded.slice(offset === 0 ? 0 : 4, -4)] as const;
  });
  return {
    text: value,
    hex: Buffer.from(value).toString("hex"),
    ...Object.fromEntries(base64),
    "SHA-256": sha256(value),
    "SHA-256 of JSON": sha256(JSON.stringify(value)),
  };
}

/** Every file below a folder, but those below `except`. What goes meanwhile is not there. */
export async function filesIn(folder: string, except: (path: string) => boolean = () => false): Promise<Place[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return Promise.all(
    paths
      .filter((path) => !except(path))
      .map(async (path) => [path, await readFile(path, "latin1").catch(() => "")] as const),
  );
}

/** Arguments and environments of all processes of this machine. */
export async function processes(): Promise<Place[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  const files = pids.flatMap((pid) => [`/proc/${pid}/cmdline`, `/proc/${pid}/environ`]);
  return Promise.all(files.map(async (path) => [path, await readFile(path, "latin1").catch(() => "")] as const));
}

/** What the store of the control plane holds, decoded: its files are compressed. They are copied while they are written. */
export async function storeOf(scenario: Scenario): Promise<Place[]> {
  return eventually("a copy of the store that can be opened", async () => {
    const copy = await mkdtemp(join(tmpdir(), "flowctl-store-"));
    try {
      if (scenario.driver === "docker") {
        const container = `flowctl_${scenario.name}_control-plane`;
        await run("docker", ["cp", `${container}:/var/lib/flowctl/.`, copy]);
      } else
        await cp(join(scenario.folder, ".home/pipelines", scenario.name, "control-plane"), copy, { recursive: true });
      const found = await filesIn(copy);
      const current = found.find(([path]) => path.endsWith("/CURRENT"))?.[0] ?? "";
      const encodings = { keyEncoding: "buffer", valueEncoding: "buffer", createIfMissing: false } as const;
      const database = new ClassicLevel<Buffer, Buffer>(current.replace(/\/CURRENT$/, ""), encodings);
      await database.open();
      const entries = await database.iterator().all();
      await database.close();
      const decoded = entries.map(([key, value]): Place => {
        return [`the store's ${key.toString("latin1")}`, value.toString("latin1")];
      });
      return decoded.length === 0 ? undefined : [...found, ...decoded];
    } catch {
      return undefined;
    } finally {
      await rm(copy, { recursive: true, force: true });
    }
  }) as Promise<Place[]>;
}

/** What the engine shows of the containers of a pipeline, its volumes and networks. */
export async function inspected(name: string): Promise<Place[]> {
  const label = `label=dev.flowctl.pipeline=${name}`;
  const kinds = [
    ["container", ["ps", "-aq", "--filter", label]],
    ["volume", ["volume", "ls", "-q", "--filter", label]],
    ["network", ["network", "ls", "-q", "--filter", label]],
  ] as const;
  const places = await Promise.all(
    kinds.map(async ([kind, list]) => {
      const ids = (await run("docker", [...list])).stdout.split("\n").filter((id) => id !== "");
      return Promise.all(
        ids.map(async (id) => [`${kind} ${id}`, (await run("docker", [kind, "inspect", id])).stdout] as const),
      );
    }),
  );
  return places.flat();
}

/** Whether what a command of the shell prints has any of the values in it. */
export async function prints(command: string, values: Readonly<Record<string, string>>): Promise<boolean> {
  const patterns = Object.values(values).flatMap((value) => ["-e", value]);
  const { stdout, stderr } = await run("sh", ["-c", `${command} | grep -ac ${patterns.join(" ")}; true`]);
  if (stderr !== "") throw new Error(`${command}: ${stderr}`);
  return Number(stdout) > 0;
}

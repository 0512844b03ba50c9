import { statfsSync } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { Level } from "level";
import { FlowctlError, messageOf } from "../../foundation/errors.ts";
import type { Store } from "./store.ts";
import { formatKey, StoreSeal } from "./store-seal.ts";

/** Written into every database; a later flowctl that keeps things differently refuses or converts what it finds. */
const format = "flowctl-control-plane/1";

/** The highest code unit sorts behind every key that a prefix can begin. */
const afterPrefix = "\uffff";

/**
 * Opens, or makes, the LevelDB in `folder`. Never twice in one process: the second open would take the lock away from
 * the first. Rejects with `store/locked`, `store/damaged`, `store/unknown-format`, `store/full` or `store/failed`.
 */
export async function openLevelStore(folder: string): Promise<Store> {
  try {
    await mkdir(folder, { recursive: true });
    await refuseHeadless(folder);
  } catch (error) {
    throw storeError(error, folder, "open");
  }
  // Made only now: it begins to open by itself as soon as it is there.
  const seal = new StoreSeal(folder);
  const database = new Level<string, Uint8Array>(folder, {
    keyEncoding: "utf8",
    valueEncoding: "view",
    // The working set is a few hundred small values; the defaults reserve 8 MiB for a cache and 4 MiB a write buffer.
    cacheSize: 256 * 1024,
    writeBufferSize: 512 * 1024,
  });
  try {
    await database.open();
    const why = await seal.broken(database);
    if (why !== undefined) throw damaged(folder, why, undefined);
    await claimFormat(database, folder);
    await seal.open();
  } catch (error) {
    await database.close().catch(() => undefined);
    throw storeError(error, folder, "open");
  }
  let failed = false;
  return {
    async entries(prefix) {
      try {
        return await database.iterator({ gte: prefix, lt: prefix + afterPrefix }).all();
      } catch (error) {
        throw storeError(error, folder, "read");
      }
    },
    async write(changes, { durable }) {
      if (changes.length === 0) return;
      try {
        await database.batch([...changes], { sync: durable });
      } catch (error) {
        failed = true;
        throw storeError(error, folder, "write");
      }
    },
    async close() {
      try {
        if (database.status === "open" && !failed) await seal.close(database);
        await database.close();
      } catch (error) {
        throw storeError(error, folder, "close");
      }
    },
  };
}

/**
 * Without its CURRENT file LevelDB would open what is left as an empty database, and all would seem well. A manifest alone
 * is no loss: LevelDB writes it first, and a kill in that moment leaves it without anything else.
 */
async function refuseHeadless(folder: string): Promise<void> {
  const files = await readdir(folder);
  if (files.includes("CURRENT") || !files.some((file) => /^\d+\.(ldb|sst|log)$/.test(file))) return;
  throw damaged(folder, "the file CURRENT is missing", undefined);
}

async function claimFormat(database: Level<string, Uint8Array>, folder: string): Promise<void> {
  const found: Uint8Array | undefined = await database.get(formatKey);
  if (found !== undefined) {
    const text = Buffer.from(found).toString("utf8");
    if (text === format) return;
    throw new FlowctlError({
      code: "store/unknown-format",
      kind: "conflict",
      message: `the control plane's database in ${folder} was written by another version of flowctl (${text})`,
      fix: "Use that version, or start over: `flowctl down -v` removes the state of the pipeline, including the positions of its sources.",
      path: folder,
    });
  }
  const [stray] = await database.keys({ limit: 1 }).all();
  if (stray !== undefined) {
    throw new FlowctlError({
      code: "store/unknown-format",
      kind: "conflict",
      message: `the database in ${folder} was not created by flowctl`,
      fix: "Use another folder, or move that database.",
      path: folder,
    });
  }
  await database.batch([{ type: "put", key: formatKey, value: Buffer.from(format) }], { sync: true });
}

function storeError(error: unknown, folder: string, doing: string): FlowctlError {
  if (error instanceof FlowctlError) return error;
  const codes = codesOf(error);
  const common = { cause: error, path: folder } as const;
  if (codes.includes("LEVEL_LOCKED")) {
    return new FlowctlError({
      ...common,
      code: "store/locked",
      kind: "conflict",
      message: `the control plane's database in ${folder} is in use by another process`,
      fix: "Stop the other control plane of this pipeline, or use another data folder.",
    });
  }
  if (codes.includes("LEVEL_CORRUPTION")) {
    return damaged(folder, innermostMessage(error), error);
  }
  const what = `cannot ${doing} the control plane's database in ${folder}`;
  const free = freeBytes(folder);
  if (codes.includes("ENOSPC") || (free !== undefined && free < FULL)) {
    return new FlowctlError({
      ...common,
      code: "store/full",
      kind: "unavailable",
      message: `${what}: the disk is full, ${free === undefined ? "nothing" : `${Math.floor(free / 1024)} KiB`} free`,
      fix: `Free disk space; check it with \`df -h ${folder}\``,
    });
  }
  return new FlowctlError({
    ...common,
    code: "store/failed",
    kind: "unavailable",
    message: `${what}: ${innermostMessage(error)}`,
    fix: `Make the folder writable for this user; check its owner with \`ls -ld ${folder}\``,
  });
}

/** Less free space than this, in bytes, and LevelDB, which does not say why it cannot write, has no room for a file. */
const FULL = 1024 * 1024;

function freeBytes(folder: string): number | undefined {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  } catch {
    return undefined;
  }
}

function damaged(folder: string, detail: string, cause: unknown): FlowctlError {
  return new FlowctlError({
    code: "store/damaged",
    kind: "failed",
    message: `the control plane's database in ${folder} is damaged: ${detail}`,
    fix: DAMAGED_FIX,
    path: folder,
    cause,
  });
}

/** What to do about a damaged database, and what that costs. */
export const DAMAGED_FIX =
  "Restore the folder from a backup, or start over with `flowctl down -v` and `flowctl up`: this deletes the positions of sources, which then read everything again, the remembered ids of sinks, and the contents of disk buffers.";

/** LevelDB's own code is in a cause, under a general code of the wrapper. */
function codesOf(error: unknown): readonly string[] {
  const codes: string[] = [];
  for (let current = error; current instanceof Error; current = current.cause) {
    if ("code" in current && typeof current.code === "string") codes.push(current.code);
  }
  return codes;
}

function innermostMessage(error: unknown): string {
  let current = error;
  while (current instanceof Error && current.cause instanceof Error) current = current.cause;
  return messageOf(current);
}

import { constants } from "node:fs";
import { access, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import type { Driver } from "../../drivers/driver.ts";
import { messageOf } from "../../foundation/errors.ts";
import { humanBytes } from "../display/quantities.ts";
import { type Finding, ok, problem, warning } from "./finding.ts";

const MIB = 1024 * 1024;

/** Free space below which a disk is a warning, and below which it is a problem, in bytes. */
const LITTLE_SPACE = 1024 * MIB;
const NO_SPACE = 100 * MIB;

/** So few files more are a problem. */
const FEW_FILES = 1_000;

/** A folder whose disk is looked at. */
export interface Place {
  readonly name: string;
  readonly path: string;
  /** Whether this user has to be able to write there. */
  readonly own: boolean;
}

/** Where a driver keeps what it runs; undefined where it does so on another machine. */
export async function placeOf(driver: Pick<Driver, "name" | "here">, signal: AbortSignal): Promise<Place | undefined> {
  const here = await driver.here?.(signal);
  return here === undefined
    ? undefined
    : { name: `the ${driver.name} driver's folder`, path: here.folder, own: here.own };
}

/** That the disk under a driver's folder is full, or nearly; undefined where it is not, or cannot be told. */
export async function fullDiskOf(
  driver: Pick<Driver, "name" | "here">,
  signal: AbortSignal,
): Promise<Finding | undefined> {
  const place = await placeOf(driver, signal);
  if (place === undefined) return undefined;
  const finding = await checkDisk(place);
  return finding.level === "problem" ? finding : undefined;
}

/** Looks at the disk of a folder, or of the nearest one above it that is there. */
export async function checkDisk({ name, path, own }: Place): Promise<Finding> {
  const there = await nearest(path);
  try {
    if (own) await access(there, constants.W_OK);
    const { bavail, bsize, files, ffree } = await statfs(there);
    // File systems that make them as they are needed say that there are none at all.
    return judgeDisk(name, path, bavail * bsize, files === 0 ? Number.POSITIVE_INFINITY : ffree);
  } catch (error) {
    const fix = `Make ${there} writable for this user, or set FLOWCTL_HOME to a folder that is`;
    return problem("disk", `${name} cannot be written: ${messageOf(error)}`, fix);
  }
}

async function nearest(path: string): Promise<string> {
  for (let folder = path; ; folder = dirname(folder)) {
    const missing = await access(folder).then(
      () => false,
      (error: NodeJS.ErrnoException) => error.code === "ENOENT",
    );
    if (!missing || folder === dirname(folder)) return folder;
  }
}

/**
 * @param free Bytes.
 * @param files That can still be made.
 */
export function judgeDisk(name: string, path: string, free: number, files = Number.POSITIVE_INFINITY): Finding {
  if (files < FEW_FILES) {
    return problem(
      "disk",
      `room for only ${files} more files in ${name} (${path})`,
      `Remove files: \`du -x --inodes --max-depth=2 ${path} | sort -n | tail\` shows where most are`,
    );
  }
  const detail = `${humanBytes(free)} free in ${name} (${path})`;
  const fix = `Free some space: \`du -xh --max-depth=2 ${path} | sort -h | tail\` shows what takes it`;
  if (free < NO_SPACE) return problem("disk", detail, fix);
  if (free < LITTLE_SPACE) return warning("disk", detail, fix);
  return ok("disk", detail);
}

import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { PipelinePaths } from "../home/paths.ts";

const PREFIX = "starting-";

/**
 * Leaves in the pipeline's folder that a supervisor is being started, and returns the ticket that it is handed. Whoever
 * takes the pipeline away takes the tickets, too: a supervisor that comes to itself only then finds no trace of its own,
 * and ends without having made anything.
 */
export function leaveTicket(paths: PipelinePaths): string {
  const ticket = `${PREFIX}${randomBytes(6).toString("hex")}`;
  writeFileSync(join(paths.folder, ticket), "", { mode: 0o600 });
  return ticket;
}

/** Whether the ticket is still there. */
export function isTicketValid(paths: PipelinePaths, ticket: string): boolean {
  return existsSync(join(paths.folder, ticket));
}

/** Removes a ticket that was used or is of no use any more. */
export function removeTicket(paths: PipelinePaths, ticket: string): void {
  rmSync(join(paths.folder, ticket), { force: true });
}

/** Removes every ticket. The caller holds the pipeline's lock. */
export function removeTickets(paths: PipelinePaths): void {
  if (!existsSync(paths.folder)) return;
  for (const name of readdirSync(paths.folder)) if (name.startsWith(PREFIX)) removeTicket(paths, name);
}

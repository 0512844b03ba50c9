import type { Client } from "pg";
import { FlowctlError } from "../../../sdk/index.ts";

/** What may still write rows with values that were taken earlier: sessions in a transaction, and prepared transactions. */
export interface OpenTransactions {
  readonly sessions: readonly string[];
  readonly prepared: readonly string[];
}

/**
 * The transactions of other clients of this database that are open. Virtual ids, as a transaction that has written nothing yet has no
 * other, though `now()` is fixed in it. Vacuum and other workers of the server, which write no rows, are left out.
 */
export async function openTransactions(client: Client): Promise<OpenTransactions> {
  const { rows } = await client.query<{ session: string | null; prepared: string | null }>(
    `SELECT lock.virtualxid AS session, NULL AS prepared
       FROM pg_locks lock JOIN pg_stat_activity activity USING (pid)
       WHERE locktype = 'virtualxid' AND mode = 'ExclusiveLock' AND pid <> pg_backend_pid() AND usesysid IS NOT NULL
         AND datid = (SELECT oid FROM pg_database WHERE datname = current_database())
     UNION ALL SELECT NULL, gid FROM pg_prepared_xacts WHERE database = current_database()`,
  );
  return {
    sessions: rows.flatMap(({ session }) => session ?? []),
    prepared: rows.flatMap(({ prepared }) => prepared ?? []),
  };
}

/** Those of `before` that are still open. A transaction of a session that is gone may be one that is prepared by now. */
export async function stillOpen(client: Client, before: OpenTransactions): Promise<OpenTransactions> {
  const now = await openTransactions(client);
  const sessions = before.sessions.filter((id) => now.sessions.includes(id));
  const isAnyGone = sessions.length < before.sessions.length;
  return { sessions, prepared: isAnyGone ? now.prepared : before.prepared.filter((id) => now.prepared.includes(id)) };
}

export function isEmpty({ sessions, prepared }: OpenTransactions): boolean {
  return sessions.length === 0 && prepared.length === 0;
}

/** A standby does not see the transactions of its primary. */
export async function refuseStandby(client: Client): Promise<void> {
  const { rows } = await client.query<{ standby: boolean }>("SELECT pg_is_in_recovery() AS standby");
  if (!rows[0]!.standby) return;
  throw new FlowctlError({
    code: "components/postgres-standby",
    kind: "invalid",
    message: "mode cursor cannot read from a standby, which does not know what its primary has yet to commit",
    fix: "connect to the primary, or use mode snapshot",
  });
}

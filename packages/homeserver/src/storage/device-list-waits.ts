import { sql } from 'kysely'
import type { ServerName, UserId } from '../matrix/ids.ts'
import { isStale, PARKED } from './device-lists.ts'
import { isLeasedIn } from './leases.ts'
import { prepared } from './prepared.ts'
import type { Db } from './store.ts'

/** Makes a stale list due at `at` if it is due later. */
export async function expedite(db: Db, userId: UserId, at: number): Promise<void> {
  await db
    .updateTable('device_lists')
    .set({ next_attempt_at: at })
    .where('user_id', '=', userId)
    .where('next_attempt_at', '>', at)
    .execute()
}

/**
 * Makes all stale lists of a server due now, but for parked ones and users whom it refuses: it is back.
 * @returns how many became due
 */
export async function expediteServer(db: Db, serverName: ServerName, now: number): Promise<number> {
  const result = await db
    .updateTable('device_lists')
    .set({ next_attempt_at: now })
    .where('server_name', '=', serverName)
    .where(isStale)
    .where('refused', '=', 0)
    .where('next_attempt_at', '>', now)
    .where('next_attempt_at', '<', PARKED)
    .executeTakeFirst()
  return Number(result.numUpdatedRows)
}

/** When the stale lists of each server are next due, and when the server may be asked. */
export type DueServer = { serverName: ServerName; dueAt: number }

const selectDue = prepared<
  { now: number },
  { server_name: ServerName; list_due: number; server_due: number | null; retry_after: number | null }
>((db, value) =>
  db
    .selectFrom('device_lists')
    .leftJoin('destinations', 'destinations.server_name', 'device_lists.server_name')
    .select('device_lists.server_name')
    .select(
      sql<number>`min(case when ${isLeasedIn('lease_until', value('now'))} and lease_until > device_lists.next_attempt_at
        then lease_until else device_lists.next_attempt_at end)`.as('list_due'),
    )
    .select(sql<number | null>`max(destinations.next_attempt_at)`.as('server_due'))
    .select(sql<number | null>`max(destinations.retry_after_until)`.as('retry_after'))
    .where(isStale)
    .where('device_lists.next_attempt_at', '<', sql.lit(PARKED))
    .groupBy('device_lists.server_name'),
)

/** Servers with stale lists that somebody needs. `dueAt` respects leases, the users' waits and the server's own. */
export async function dueServers(db: Db, now: number): Promise<DueServer[]> {
  const { rows } = await selectDue(db, { now })
  return rows.map((row) => ({
    serverName: row.server_name,
    dueAt: Math.max(row.list_due, row.server_due ?? 0, row.retry_after ?? 0),
  }))
}

/** Makes all stale lists due now that somebody needs, whatever their waits. @returns how many there are, and their servers */
export async function expediteAll(db: Db, now: number): Promise<{ lists: number; servers: Set<ServerName> }> {
  const rows = await db
    .updateTable('device_lists')
    .set({ next_attempt_at: now, refused: 0 })
    .where(isStale)
    .where('next_attempt_at', '<', PARKED)
    .returning('server_name')
    .execute()
  return { lists: rows.length, servers: new Set(rows.map((row) => row.server_name)) }
}

import { sql } from 'kysely'
import type { ServerName, UserId } from '../matrix/ids.ts'
import { raised } from './device-list-doubts.ts'
import { addTransitions } from './device-list-history.ts'
import type { Db } from './store.ts'

/**
 * Takes the one suspicion of a server that is allowed in a while.
 * @param since the last one must lie before this (epoch ms), or in the future, where the clock was set back
 * @returns whether the caller got it
 */
export async function takeSuspicion(db: Db, serverName: ServerName, now: number, since: number): Promise<boolean> {
  const result = await db
    .insertInto('device_list_servers')
    .values({ server_name: serverName, suspected_at: now })
    .onConflict((conflict) =>
      conflict
        .column('server_name')
        .doUpdateSet({ suspected_at: now })
        .where(sql<boolean>`device_list_servers.suspected_at < ${since} or device_list_servers.suspected_at > ${now}`),
    )
    .returning('server_name')
    .executeTakeFirst()
  return result !== undefined
}

/**
 * Raises a doubt about all lists of a server, or of all servers, with whose users a room is shared; they are due at once.
 * @param doubt.except a list that is known to be right
 * @returns how many lists are in doubt, and their servers
 */
export async function doubtTracked(
  db: Db,
  doubt: { serverName?: ServerName; except?: UserId; reason: string; now: number },
): Promise<{ lists: number; servers: Set<ServerName> }> {
  const { serverName, except, reason, now } = doubt
  let update = db
    .updateTable('device_lists')
    .set(raised({ reason, now, nextAttemptAt: now }))
    .where('tracked', '=', 1)
  if (serverName !== undefined) update = update.where('server_name', '=', serverName)
  if (except !== undefined) update = update.where('user_id', '!=', except)
  const rows = await update.returning(['user_id', 'server_name', 'wanted_gen', 'synced_gen']).execute()
  const newly = rows.filter((row) => row.wanted_gen === row.synced_gen + 1).map((row) => row.user_id)
  await addTransitions(db, newly, { at: now, event: 'doubted', detail: reason })
  return { lists: rows.length, servers: new Set(rows.map((row) => row.server_name)) }
}

const ALIVE = 'alive_at'

/** Notes that this server is up. @param now epoch ms */
export async function noteAlive(db: Db, now: number): Promise<void> {
  await db
    .insertInto('server_info')
    .values({ name: ALIVE, value: String(now) })
    .onConflict((conflict) => conflict.column('name').doUpdateSet({ value: String(now) }))
    .execute()
}

/** When this server, or another process of it, was up last (epoch ms). */
export async function lastAlive(db: Db): Promise<number | undefined> {
  const row = await db.selectFrom('server_info').select('value').where('name', '=', ALIVE).executeTakeFirst()
  return row && Number(row.value)
}

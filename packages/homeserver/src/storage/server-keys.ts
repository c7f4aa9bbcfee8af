import type { Selectable } from 'kysely'
import type { ServerName } from '../matrix/ids.ts'
import type { Db } from './store.ts'
import type { ServerKeysTable } from './tables.ts'

/** A verify key of another server. */
export type ServerKeyRow = Selectable<ServerKeysTable>

/** Old keys kept of one server, the newest: a server that changes its key all the time does not fill the table. */
const MAX_OLD_KEYS = 50

/** The keys that a server has, and those that it had. */
export async function serverKeys(db: Db, serverName: ServerName): Promise<ServerKeyRow[]> {
  return db.selectFrom('server_keys').selectAll().where('server_name', '=', serverName).execute()
}

/**
 * Keeps a server's keys as they were fetched. One that it no longer lists is old from now on (`now`, epoch ms): it signs
 * nothing any more, but what it has signed stays good.
 */
export async function replaceServerKeys(
  db: Db,
  serverName: ServerName,
  rows: readonly ServerKeyRow[],
  now: number,
): Promise<void> {
  if (rows.length === 0) return
  const listed = rows.map((row) => row.key_id)
  await db
    .updateTable('server_keys')
    .set((eb) => ({
      is_old: 1,
      valid_until: eb.case().when('valid_until', '<', now).then(eb.ref('valid_until')).else(now).end(),
    }))
    .where('server_name', '=', serverName)
    .where('is_old', '=', 0)
    .where('key_id', 'not in', listed)
    .execute()
  await db
    .insertInto('server_keys')
    .values(rows)
    .onConflict((conflict) =>
      conflict.columns(['server_name', 'key_id']).doUpdateSet((eb) => ({
        public_key: eb.ref('excluded.public_key'),
        valid_until: eb.ref('excluded.valid_until'),
        is_old: eb.ref('excluded.is_old'),
        fetched_at: eb.ref('excluded.fetched_at'),
      })),
    )
    .execute()
  await forgetOldest(db, serverName)
}

async function forgetOldest(db: Db, serverName: ServerName): Promise<void> {
  const beyond = await db
    .selectFrom('server_keys')
    .select('key_id')
    .where('server_name', '=', serverName)
    .where('is_old', '=', 1)
    .orderBy('valid_until', 'desc')
    .orderBy('key_id')
    .limit(1_000)
    .offset(MAX_OLD_KEYS)
    .execute()
  if (beyond.length === 0) return
  const ids = beyond.map((row) => row.key_id)
  await db.deleteFrom('server_keys').where('server_name', '=', serverName).where('key_id', 'in', ids).execute()
}

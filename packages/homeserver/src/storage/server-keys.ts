import type { Selectable } from 'kysely'
import type { ServerName } from '../matrix/ids.ts'
import type { Db } from './store.ts'
import type { ServerKeysTable } from './tables.ts'

/** A verify key of another server. */
export type ServerKeyRow = Selectable<ServerKeysTable>

/** The keys that a server listed last. */
export async function serverKeys(db: Db, serverName: ServerName): Promise<ServerKeyRow[]> {
  return db.selectFrom('server_keys').selectAll().where('server_name', '=', serverName).execute()
}

/** Keeps a server's keys as they were fetched, and no others: one that it no longer lists signs nothing any more. */
export async function replaceServerKeys(db: Db, serverName: ServerName, rows: readonly ServerKeyRow[]): Promise<void> {
  if (rows.length === 0) return
  const listed = rows.map((row) => row.key_id)
  await db.deleteFrom('server_keys').where('server_name', '=', serverName).where('key_id', 'not in', listed).execute()
  await db
    .insertInto('server_keys')
    .values(rows)
    .onConflict((conflict) =>
      conflict.columns(['server_name', 'key_id']).doUpdateSet((eb) => ({
        public_key: eb.ref('excluded.public_key'),
        valid_until: eb.ref('excluded.valid_until'),
        fetched_at: eb.ref('excluded.fetched_at'),
      })),
    )
    .execute()
}

import type { Selectable } from 'kysely'
import type { ServerName } from '../matrix/ids.ts'
import type { Db } from './store.ts'
import type { ServerKeysTable } from './tables.ts'

/** A verify key of another server. */
export type ServerKeyRow = Selectable<ServerKeysTable>

/** The keys of a server that were seen last. */
export async function serverKeys(db: Db, serverName: ServerName): Promise<ServerKeyRow[]> {
  return db.selectFrom('server_keys').selectAll().where('server_name', '=', serverName).execute()
}

/** Keeps a server's keys as they were fetched; those it no longer lists stay, with the validity they had. */
export async function saveServerKeys(db: Db, rows: readonly ServerKeyRow[]): Promise<void> {
  if (rows.length === 0) return
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

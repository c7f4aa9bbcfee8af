import type { Selectable } from 'kysely'
import type { Db } from './store.ts'
import type { Tables } from './tables.ts'

/** A signing key of this server: `seed` is base64 of 32 bytes. */
export type SigningKeyRow = Selectable<Tables['signing_keys']>

/** All signing keys of this server, the newest first. */
export async function signingKeys(db: Db): Promise<SigningKeyRow[]> {
  return db.selectFrom('signing_keys').selectAll().orderBy('created_at', 'desc').execute()
}

/** Adds a signing key, unless there is one already: of processes that start together one wins. */
export async function addFirstSigningKey(db: Db, row: SigningKeyRow): Promise<void> {
  await db
    .insertInto('signing_keys')
    .columns(['key_id', 'seed', 'created_at', 'expired_at'])
    .expression((eb) =>
      eb
        .selectNoFrom([
          eb.val(row.key_id).as('key_id'),
          eb.val(row.seed).as('seed'),
          eb.cast<number>(eb.val(row.created_at), 'bigint').as('created_at'),
          eb.cast<number | null>(eb.val(row.expired_at), 'bigint').as('expired_at'),
        ])
        .where(({ not, exists, selectFrom }) => not(exists(selectFrom('signing_keys').select('signing_keys.key_id')))),
    )
    .execute()
}

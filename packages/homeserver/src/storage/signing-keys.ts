import type { Selectable } from 'kysely'
import type { Db } from './store.ts'
import type { Tables } from './tables.ts'

/** A signing key of this server: `seed` is base64 of 32 bytes. */
export type SigningKeyRow = Selectable<Tables['signing_keys']>

/** All signing keys of this server, the newest first. */
export async function signingKeys(db: Db): Promise<SigningKeyRow[]> {
  return db.selectFrom('signing_keys').selectAll().orderBy('created_at', 'desc').execute()
}

/** Adds a signing key. */
export async function addSigningKey(db: Db, row: SigningKeyRow): Promise<void> {
  await db.insertInto('signing_keys').values(row).execute()
}

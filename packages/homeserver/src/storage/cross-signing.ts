import type { UserId } from '../matrix/ids.ts'
import { preparedForAny } from './prepared.ts'
import type { Db } from './store.ts'
import type { CrossSigningUsage } from './tables.ts'

/** A cross-signing key of one of our users; `key` is JSON text. */
export type CrossSigningKeyRow = { user_id: UserId; usage: CrossSigningUsage; key: string }

const selectKeys = preparedForAny<CrossSigningKeyRow>('user_id', (db, isChosen) =>
  db.selectFrom('cross_signing_keys').selectAll().where(isChosen),
)

/** The cross-signing keys of these users, the user-signing keys among them. */
export async function crossSigningKeys(db: Db, userIds: readonly UserId[]): Promise<CrossSigningKeyRow[]> {
  return selectKeys(db, userIds)
}

/** Adds or replaces cross-signing keys. */
export async function putCrossSigningKeys(db: Db, rows: readonly CrossSigningKeyRow[]): Promise<void> {
  if (rows.length === 0) return
  await db
    .insertInto('cross_signing_keys')
    .values(rows)
    .onConflict((conflict) =>
      conflict.columns(['user_id', 'usage']).doUpdateSet((eb) => ({ key: eb.ref('excluded.key') })),
    )
    .execute()
}

/** Removes a user's cross-signing keys, and what they have signed. @returns whether there were any */
export async function removeCrossSigningKeys(db: Db, userId: UserId): Promise<boolean> {
  await db.deleteFrom('key_signatures').where('signer', '=', userId).execute()
  const gone = await db.deleteFrom('cross_signing_keys').where('user_id', '=', userId).returning('usage').execute()
  return gone.length > 0
}

/** Signatures that one of our users made on another user's master key; `signatures` is JSON from key ID to signature. */
export type ForeignSignatures = { user_id: UserId; target: string; signatures: string }

const selectSignatures = preparedForAny<ForeignSignatures, { signer: UserId }>('user_id', (db, isChosen, value) =>
  db
    .selectFrom('key_signatures')
    .select(['user_id', 'target', 'signatures'])
    .where('signer', '=', value('signer'))
    .where(isChosen),
)

/** The signatures that `signer` made on these users' keys: nobody else sees them. */
export async function signaturesBy(db: Db, signer: UserId, userIds: readonly UserId[]): Promise<ForeignSignatures[]> {
  return selectSignatures(db, userIds, { signer })
}

/** Keeps what `signer` signed, in place of what was kept for the same key. */
export async function putSignatures(db: Db, signer: UserId, row: ForeignSignatures): Promise<void> {
  await db
    .insertInto('key_signatures')
    .values({ signer, ...row })
    .onConflict((conflict) =>
      conflict.columns(['signer', 'user_id', 'target']).doUpdateSet({ signatures: row.signatures }),
    )
    .execute()
}

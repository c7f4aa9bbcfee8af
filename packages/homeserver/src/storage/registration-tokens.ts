import type { ExpressionBuilder } from 'kysely'
import type { Db } from './store.ts'
import type { Tables } from './tables.ts'

/** Whether a token could be used at `now` (epoch ms). */
export async function isUsableToken(db: Db, token: string, now: number): Promise<boolean> {
  const row = await db
    .selectFrom('registration_tokens')
    .select('token')
    .where('token', '=', token)
    .where((eb) => usable(eb, now))
    .executeTakeFirst()
  return row !== undefined
}

/**
 * Uses a token once, in the transaction of what it is used for.
 * @returns `undefined` if it is unknown, used up or expired
 */
export async function useToken(db: Db, token: string, now: number): Promise<{ makesAdmin: boolean } | undefined> {
  const row = await db
    .updateTable('registration_tokens')
    .set((eb) => ({ uses: eb('uses', '+', 1) }))
    .where('token', '=', token)
    .where((eb) => usable(eb, now))
    .returning('makes_admin')
    .executeTakeFirst()
  return row && { makesAdmin: row.makes_admin === 1 }
}

/** The unused token that makes the first admin, if there is one. */
export async function unusedAdminToken(db: Db): Promise<string | undefined> {
  const row = await db
    .selectFrom('registration_tokens')
    .select('token')
    .where('makes_admin', '=', 1)
    .where('uses', '=', 0)
    .limit(1)
    .executeTakeFirst()
  return row?.token
}

/** Adds a token that makes one account, an admin. */
export async function addAdminToken(db: Db, token: string): Promise<void> {
  await db
    .insertInto('registration_tokens')
    .values({ token, uses_allowed: 1, uses: 0, expires_at: null, makes_admin: 1 })
    .execute()
}

/** Removes every token that makes an admin. */
export async function removeAdminTokens(db: Db): Promise<void> {
  await db.deleteFrom('registration_tokens').where('makes_admin', '=', 1).execute()
}

function usable(eb: ExpressionBuilder<Tables, 'registration_tokens'>, now: number) {
  return eb.and([
    eb.or([eb('uses_allowed', 'is', null), eb('uses', '<', eb.ref('uses_allowed'))]),
    eb.or([eb('expires_at', 'is', null), eb('expires_at', '>', now)]),
  ])
}

import type { UserId } from '../matrix/ids.ts'
import type { Db } from './store.ts'
import type { ShortLivedTokenPurpose } from './tables.ts'

/** A token by its hash; good for one purpose, until `expiresAt` (epoch ms). */
export type ShortLivedToken = {
  tokenHash: string
  purpose: ShortLivedTokenPurpose
  userId: UserId | null
  expiresAt: number
}

/** Adds a token, and removes those that have expired by `now` (epoch ms). */
export async function addShortLivedToken(db: Db, token: ShortLivedToken, now: number): Promise<void> {
  const { tokenHash, purpose, userId, expiresAt } = token
  await db.deleteFrom('short_lived_tokens').where('purpose', '=', purpose).where('expires_at', '<=', now).execute()
  await db
    .insertInto('short_lived_tokens')
    .values({ token_hash: tokenHash, purpose, user_id: userId, expires_at: expiresAt })
    .execute()
}

/** How many tokens of a purpose there are. */
export async function countShortLivedTokens(db: Db, purpose: ShortLivedTokenPurpose): Promise<number> {
  const { count } = await db
    .selectFrom('short_lived_tokens')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('purpose', '=', purpose)
    .executeTakeFirstOrThrow()
  return Number(count)
}

type Wanted = Pick<ShortLivedToken, 'tokenHash' | 'purpose'>

/** Whose token it is. @returns `undefined` if it is unknown or expired at `now` (epoch ms) */
export async function findShortLivedToken(
  db: Db,
  { tokenHash, purpose }: Wanted,
  now: number,
): Promise<{ user_id: UserId | null } | undefined> {
  return db
    .selectFrom('short_lived_tokens')
    .select('user_id')
    .where('token_hash', '=', tokenHash)
    .where('purpose', '=', purpose)
    .where('expires_at', '>', now)
    .executeTakeFirst()
}

/** Uses a token up: of several who try at the same time one gets it. */
export async function takeShortLivedToken(
  db: Db,
  { tokenHash, purpose }: Wanted,
  now: number,
): Promise<{ user_id: UserId | null } | undefined> {
  return db
    .deleteFrom('short_lived_tokens')
    .where('token_hash', '=', tokenHash)
    .where('purpose', '=', purpose)
    .where('expires_at', '>', now)
    .returning('user_id')
    .executeTakeFirst()
}

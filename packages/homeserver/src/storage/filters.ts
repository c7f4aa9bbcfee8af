import type { UserId } from '../matrix/ids.ts'
import type { Db } from './store.ts'

/** Keeps a filter; the same ID again changes nothing. */
export async function addFilter(db: Db, userId: UserId, filterId: string, definition: string): Promise<void> {
  await db
    .insertInto('filters')
    .values({ user_id: userId, filter_id: filterId, definition })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}

/** The definition (JSON) of a user's filter. */
export async function filterDefinition(db: Db, userId: UserId, filterId: string): Promise<string | undefined> {
  const row = await db
    .selectFrom('filters')
    .select('definition')
    .where('user_id', '=', userId)
    .where('filter_id', '=', filterId)
    .executeTakeFirst()
  return row?.definition
}

import type { UserId } from '../matrix/ids.ts'
import type { Db, Tx } from './store.ts'

/** Notes that a user has to leave all rooms. @param now epoch ms */
export async function addDeparture(tx: Tx, userId: UserId, now: number): Promise<void> {
  await tx.db
    .insertInto('departures')
    .values({ user_id: userId, due_at: now })
    .onConflict((conflict) => conflict.column('user_id').doUpdateSet({ due_at: now }))
    .execute()
}

/** The user who has to leave first, and when that is due (epoch ms). */
export async function nextDeparture(db: Db): Promise<{ user_id: UserId; due_at: number } | undefined> {
  return db.selectFrom('departures').selectAll().orderBy('due_at').limit(1).executeTakeFirst()
}

/** Puts a departure off, for whoever sees it to. @returns whether nobody else has done so meanwhile */
export async function claimDeparture(
  db: Db,
  { user_id: userId, due_at: dueAt }: { user_id: UserId; due_at: number },
  until: number,
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('departures')
    .set({ due_at: until })
    .where('user_id', '=', userId)
    .where('due_at', '=', dueAt)
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

export async function removeDeparture(db: Db, userId: UserId): Promise<void> {
  await db.deleteFrom('departures').where('user_id', '=', userId).execute()
}

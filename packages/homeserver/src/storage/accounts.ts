import type { Selectable } from 'kysely'
import type { UserId } from '../matrix/ids.ts'
import { inParts } from './parts.ts'
import type { Db } from './store.ts'
import type { UsersTable } from './tables.ts'

/** An account of ours, guests and deactivated ones included. */
export type Account = Selectable<UsersTable>

/** @returns `undefined` if there never was such an account */
export async function findAccount(db: Db, userId: UserId): Promise<Account | undefined> {
  return db.selectFrom('users').selectAll().where('user_id', '=', userId).executeTakeFirst()
}

/** Whether there is such an account, and it is not closed. */
export async function isActiveAccount(db: Db, userId: UserId): Promise<boolean> {
  const account = await findAccount(db, userId)
  return account !== undefined && account.deactivated_at === null
}

/** Whether there is any account at all. */
export async function hasAccounts(db: Db): Promise<boolean> {
  const row = await db.selectFrom('users').select('user_id').limit(1).executeTakeFirst()
  return row !== undefined
}

/** Adds an account made at `now` (epoch ms). @returns `false` if the user ID is taken: nothing was added */
export async function addAccount(
  db: Db,
  account: { userId: UserId; passwordHash: string | null; admin: boolean; guest: boolean; now: number },
): Promise<boolean> {
  const row = await db
    .insertInto('users')
    .values({
      user_id: account.userId,
      password_hash: account.passwordHash,
      is_admin: account.admin ? 1 : 0,
      is_guest: account.guest ? 1 : 0,
      created_at: account.now,
      deactivated_at: null,
    })
    .onConflict((conflict) => conflict.doNothing())
    .returning('user_id')
    .executeTakeFirst()
  return row !== undefined
}

/** Makes a guest's account one of a user. @returns `false` if it is no guest's any more: nothing was changed */
export async function upgradeGuest(db: Db, userId: UserId, passwordHash: string): Promise<boolean> {
  const row = await db
    .updateTable('users')
    .set({ password_hash: passwordHash, is_guest: 0 })
    .where('user_id', '=', userId)
    .where('is_guest', '=', 1)
    .where('deactivated_at', 'is', null)
    .returning('user_id')
    .executeTakeFirst()
  return row !== undefined
}

export async function setPasswordHash(db: Db, userId: UserId, passwordHash: string): Promise<void> {
  await db.updateTable('users').set({ password_hash: passwordHash }).where('user_id', '=', userId).execute()
}

/** Closes an account. @param now epoch ms */
export async function deactivateAccount(
  db: Db,
  userId: UserId,
  { now, erase }: { now: number; erase: boolean },
): Promise<void> {
  await db
    .updateTable('users')
    .set({ password_hash: null, deactivated_at: now, erased: erase ? 1 : 0 })
    .where('user_id', '=', userId)
    .execute()
}

/** Locks or suspends an account, or no longer does. */
export async function setModerated(db: Db, userId: UserId, kind: 'locked' | 'suspended', on: boolean): Promise<void> {
  await db
    .updateTable('users')
    .set({ [kind]: on ? 1 : 0 })
    .where('user_id', '=', userId)
    .execute()
}

/** Those of the users who wanted what they wrote to be forgotten when they closed their accounts. */
export async function erasedAmong(db: Db, userIds: readonly UserId[]): Promise<Set<UserId>> {
  return new Set(await flaggedAmong(db, userIds, 'erased'))
}

/** Which of our users are guests. */
export function guestsAmong(db: Db, userIds: readonly UserId[]): Promise<UserId[]> {
  return flaggedAmong(db, userIds, 'is_guest')
}

async function flaggedAmong(db: Db, userIds: readonly UserId[], flag: 'erased' | 'is_guest'): Promise<UserId[]> {
  const found: UserId[] = []
  for (const some of inParts(userIds, 500)) {
    const rows = await db
      .selectFrom('users')
      .select('user_id')
      .where('user_id', 'in', some)
      .where(flag, '=', 1)
      .execute()
    for (const row of rows) found.push(row.user_id)
  }
  return found
}

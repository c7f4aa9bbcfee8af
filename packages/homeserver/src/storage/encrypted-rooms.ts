import { sql } from 'kysely'
import type { UserId } from '../matrix/ids.ts'
import type { Db } from './store.ts'

/** Somebody with whom an encrypted room is shared. */
type Companion = { userId: UserId; displayName: string | null }

/** Whether the room that `ours` is a membership of is encrypted. */
const isEncrypted = sql<boolean>`exists (select 1 from current_state where current_state.room_id = ours.room_id
  and current_state.type = 'm.room.encryption' and current_state.state_key = '')`

/** Whoever is in an encrypted room that `userId` is in, of any server, with what they are called in one; `userId` left out. */
export async function usersInEncryptedRoomsWith(db: Db, userId: UserId): Promise<Companion[]> {
  const rows = await db
    .selectFrom('memberships as ours')
    .innerJoin('memberships as theirs', 'theirs.room_id', 'ours.room_id')
    .select((eb) => ['theirs.user_id', eb.fn.max('theirs.display_name').as('display_name')])
    .where('ours.user_id', '=', userId)
    .where('ours.membership', '=', 'join')
    .where('theirs.membership', '=', 'join')
    .where('theirs.user_id', '!=', userId)
    .where(isEncrypted)
    .groupBy('theirs.user_id')
    .execute()
  return rows.map((row) => ({ userId: row.user_id, displayName: row.display_name }))
}

/**
 * Which of these users, at most a few hundred, are in an encrypted room with one of our users who has been active.
 * @param since epoch ms
 */
export async function usersWithActiveCompany(db: Db, userIds: readonly UserId[], since: number): Promise<Set<UserId>> {
  if (userIds.length === 0) return new Set()
  const rows = await db
    .selectFrom('memberships as theirs')
    .select('theirs.user_id')
    .distinct()
    .where('theirs.user_id', 'in', userIds)
    .where('theirs.membership', '=', 'join')
    .where(({ exists, selectFrom }) =>
      exists(
        selectFrom('memberships as ours')
          .innerJoin('devices', 'devices.user_id', 'ours.user_id')
          .select(sql.lit(1).as('one'))
          .whereRef('ours.room_id', '=', 'theirs.room_id')
          .where('ours.is_local', '=', sql.lit(1))
          .where('ours.membership', '=', 'join')
          .where('devices.last_seen_at', '>', since)
          .where(isEncrypted),
      ),
    )
    .execute()
  return new Set(rows.map((row) => row.user_id))
}

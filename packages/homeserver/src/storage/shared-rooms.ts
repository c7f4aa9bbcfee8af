import { type RawBuilder, sql } from 'kysely'
import type { RoomId, ServerName, UserId } from '../matrix/ids.ts'
import { inParts } from './parts.ts'
import { isOneOf, prepared } from './prepared.ts'
import type { Db } from './store.ts'

/** Which of `others`, a JSON array, are in a room that one of those is in whom `own` picks, a condition on `memberships as own`. */
const sharing = (db: Db, others: string, own: RawBuilder<boolean>) =>
  db
    .selectFrom('memberships as theirs')
    .select('theirs.user_id')
    .distinct()
    .where(isOneOf(db, 'theirs.user_id', others))
    .where('theirs.membership', '=', 'join')
    .where(({ exists, selectFrom }) =>
      exists(
        selectFrom('memberships as own')
          .select('own.room_id')
          .whereRef('own.room_id', '=', 'theirs.room_id')
          .where('own.membership', '=', 'join')
          .where(own),
      ),
    )

const selectSharingWith = prepared<{ userId: UserId; others: string }, { user_id: UserId }>((db, value) =>
  sharing(db, value('others'), sql<boolean>`own.user_id = ${value('userId')}`),
)
const selectStillShared = prepared<{ others: string }, { user_id: UserId }>((db, value) =>
  // A literal, so that the index of local members is used.
  sharing(db, value('others'), sql<boolean>`own.is_local = 1`),
)

/** Which of `others` are in a room that `userId` is in. */
export async function usersSharingWith(db: Db, userId: UserId, others: readonly UserId[]): Promise<UserId[]> {
  const { rows } = await selectSharingWith(db, { userId, others: JSON.stringify(others) })
  return rows.map((row) => row.user_id)
}

/** Which of these remote users are in any room that one of our users is in. */
export async function remoteUsersStillShared(db: Db, userIds: readonly UserId[]): Promise<Set<UserId>> {
  const { rows } = await selectStillShared(db, { others: JSON.stringify(userIds) })
  return new Set(rows.map((row) => row.user_id))
}

/** Our own users who are in a room that one of `userIds` is in. */
export async function localUsersSharingWith(db: Db, userIds: readonly UserId[]): Promise<UserId[]> {
  const found = new Set<UserId>()
  for (const some of inParts(userIds, 500)) {
    const rows = await db
      .selectFrom('memberships as theirs')
      .innerJoin('memberships as ours', 'ours.room_id', 'theirs.room_id')
      .select('ours.user_id')
      .distinct()
      .where('theirs.user_id', 'in', some)
      .where('theirs.membership', '=', 'join')
      .where('ours.membership', '=', 'join')
      .where('ours.is_local', '=', sql.lit(1))
      .whereRef('ours.user_id', '!=', 'theirs.user_id')
      .execute()
    for (const row of rows) found.add(row.user_id)
  }
  return [...found]
}

const selectRoomsOfAny = prepared<{ userIds: string }, { room_id: RoomId }>((db, value) =>
  db
    .selectFrom('memberships')
    .select('room_id')
    .distinct()
    .where(isOneOf(db, 'user_id', value('userIds')))
    .where('membership', '=', 'join'),
)

/** The rooms that any of these users is in. */
export async function roomsOfAny(db: Db, userIds: readonly UserId[]): Promise<RoomId[]> {
  const { rows } = await selectRoomsOfAny(db, { userIds: JSON.stringify(userIds) })
  return rows.map((row) => row.room_id)
}

/** The servers that have a user in a room that `userId` is in. */
export async function serversSharingWith(db: Db, userId: UserId): Promise<ServerName[]> {
  const rows = await db
    .selectFrom('memberships as own')
    .innerJoin('memberships as theirs', 'theirs.room_id', 'own.room_id')
    .select('theirs.server_name')
    .distinct()
    .where('own.user_id', '=', userId)
    .where('own.membership', '=', 'join')
    .where('theirs.membership', '=', 'join')
    .execute()
  return rows.map((row) => row.server_name)
}

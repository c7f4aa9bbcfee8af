import { type RawBuilder, sql } from 'kysely'
import type { RoomId, ServerName, UserId } from '../matrix/ids.ts'
import { inParts } from './parts.ts'
import { preparedForAny } from './prepared.ts'
import type { Db } from './store.ts'

/** Which of those whom `isChosen` picks of `memberships as theirs` are in a room with one whom `own` picks of `memberships as own`. */
const sharing = (db: Db, isChosen: RawBuilder<boolean>, own: RawBuilder<boolean>) =>
  db
    .selectFrom('memberships as theirs')
    .select('theirs.user_id')
    .distinct()
    .where(isChosen)
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

const selectSharingWith = preparedForAny<{ user_id: UserId }, { userId: UserId }>(
  'theirs.user_id',
  (db, isChosen, value) => sharing(db, isChosen, sql<boolean>`own.user_id = ${value('userId')}`),
)
const selectStillShared = preparedForAny<{ user_id: UserId }>('theirs.user_id', (db, isChosen) =>
  // A literal, so that the index of local members is used.
  sharing(db, isChosen, sql<boolean>`own.is_local = 1`),
)

/** Which of `others` are in a room that `userId` is in. */
export async function usersSharingWith(db: Db, userId: UserId, others: readonly UserId[]): Promise<UserId[]> {
  const rows = await selectSharingWith(db, others, { userId })
  return rows.map((row) => row.user_id)
}

/** Which of these remote users are in any room that one of our users is in. */
export async function remoteUsersStillShared(db: Db, userIds: readonly UserId[]): Promise<Set<UserId>> {
  const rows = await selectStillShared(db, userIds)
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

const selectRoomsOfAny = preparedForAny<{ room_id: RoomId }>('user_id', (db, isChosen) =>
  db.selectFrom('memberships').select('room_id').distinct().where(isChosen).where('membership', '=', 'join'),
)

/** The rooms that any of these users is in. */
export async function roomsOfAny(db: Db, userIds: readonly UserId[]): Promise<RoomId[]> {
  const rows = await selectRoomsOfAny(db, userIds)
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

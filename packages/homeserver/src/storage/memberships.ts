import { sql } from 'kysely'
import type { RoomId, ServerName, UserId } from '../matrix/ids.ts'
import { inParts } from './parts.ts'
import { prepared } from './prepared.ts'
import type { Membership, MembershipsTable } from './room-tables.ts'
import type { Db } from './store.ts'

export type MembershipRow = MembershipsTable

/** Sets memberships, whatever they were. */
export async function saveMemberships(db: Db, rows: readonly MembershipRow[]): Promise<void> {
  for (const some of inParts(rows, 300)) {
    await db
      .insertInto('memberships')
      .values(some)
      .onConflict((conflict) =>
        conflict.columns(['room_id', 'user_id']).doUpdateSet((eb) => ({
          membership: eb.ref('excluded.membership'),
          event_id: eb.ref('excluded.event_id'),
          sender: eb.ref('excluded.sender'),
          position: eb.ref('excluded.position'),
          display_name: eb.ref('excluded.display_name'),
          avatar_url: eb.ref('excluded.avatar_url'),
          forgotten: eb.ref('excluded.forgotten'),
        })),
      )
      .execute()
  }
}

/** Removes members from the state now. */
export async function removeMemberships(db: Db, roomId: RoomId, userIds: readonly UserId[]): Promise<void> {
  if (userIds.length === 0) return
  await db.deleteFrom('memberships').where('room_id', '=', roomId).where('user_id', 'in', userIds).execute()
}

const selectMembership = prepared<{ roomId: RoomId; userId: UserId }, MembershipRow>((db, value) =>
  db
    .selectFrom('memberships')
    .selectAll()
    .where('room_id', '=', value('roomId'))
    .where('user_id', '=', value('userId')),
)

/** One user's membership of one room. */
export async function membershipRow(db: Db, roomId: RoomId, userId: UserId): Promise<MembershipRow | undefined> {
  return (await selectMembership(db, { roomId, userId })).rows[0]
}

const selectOfUser = prepared<{ userId: UserId }, MembershipRow>((db, value) =>
  db.selectFrom('memberships').selectAll().where('user_id', '=', value('userId')),
)

/** All memberships of one user, forgotten ones too. */
export async function membershipsOf(db: Db, userId: UserId): Promise<MembershipRow[]> {
  return (await selectOfUser(db, { userId })).rows
}

/** One user's memberships of these rooms. */
export async function membershipRowsOf(db: Db, userId: UserId, roomIds: readonly RoomId[]): Promise<MembershipRow[]> {
  const rows: MembershipRow[] = []
  for (const part of inParts(roomIds, 500)) {
    const some = await db
      .selectFrom('memberships')
      .selectAll()
      .where('user_id', '=', userId)
      .where('room_id', 'in', part)
      .execute()
    rows.push(...some)
  }
  return rows
}

type MemberChoice = { membership?: Membership; serverName?: ServerName; userIds?: readonly UserId[] }

/** The members of a room: all, those of one membership, of one server, or those among `userIds`. */
export async function membersOf(
  db: Db,
  roomId: RoomId,
  { membership, serverName, userIds }: MemberChoice = {},
): Promise<MembershipRow[]> {
  let query = db.selectFrom('memberships').selectAll().where('room_id', '=', roomId)
  if (membership) query = query.where('membership', '=', membership)
  if (serverName) query = query.where('server_name', '=', serverName)
  // Beyond what one statement has room for, reading all of them costs no more.
  if (!userIds || userIds.length > 500) {
    const wanted = userIds && new Set(userIds)
    const rows = await query.execute()
    return wanted ? rows.filter((row) => wanted.has(row.user_id)) : rows
  }
  return userIds.length === 0 ? [] : query.where('user_id', 'in', userIds).execute()
}

const selectLocalMembers = prepared<{ roomId: RoomId }, MembershipRow>((db, value) =>
  db
    .selectFrom('memberships')
    .selectAll()
    .where('room_id', '=', value('roomId'))
    .where('membership', '=', 'join')
    .where('is_local', '=', sql.lit(1)),
)

/** Our own users who are in a room. */
export async function localMembers(db: Db, roomId: RoomId): Promise<MembershipRow[]> {
  return (await selectLocalMembers(db, { roomId })).rows
}

/** The rooms that a user is in. */
export async function joinedRoomIds(db: Db, userId: UserId): Promise<RoomId[]> {
  const rows = await db
    .selectFrom('memberships')
    .select('room_id')
    .where('user_id', '=', userId)
    .where('membership', '=', 'join')
    .execute()
  return rows.map((row) => row.room_id)
}

/** Forgets a room that a user is not in, until their membership changes. */
export async function setForgotten(db: Db, roomId: RoomId, userId: UserId): Promise<void> {
  await db
    .updateTable('memberships')
    .set({ forgotten: 1 })
    .where('room_id', '=', roomId)
    .where('user_id', '=', userId)
    .execute()
}

/** One user's memberships of these rooms. */
export async function membershipsIn(
  db: Db,
  userId: UserId,
  roomIds: readonly RoomId[],
): Promise<Map<RoomId, Membership>> {
  const found = new Map<RoomId, Membership>()
  for (const some of inParts(roomIds, 500)) {
    const rows = await db
      .selectFrom('memberships')
      .select(['room_id', 'membership'])
      .where('user_id', '=', userId)
      .where('room_id', 'in', some)
      .execute()
    for (const row of rows) found.set(row.room_id, row.membership)
  }
  return found
}

/** Everybody who is in any of these rooms. */
export async function joinedMemberIds(db: Db, roomIds: readonly RoomId[]): Promise<UserId[]> {
  if (roomIds.length === 0) return []
  const rows = await db
    .selectFrom('memberships')
    .select('user_id')
    .distinct()
    .where('room_id', 'in', roomIds)
    .where('membership', '=', 'join')
    .execute()
  return rows.map((row) => row.user_id)
}

import { sql } from 'kysely'
import { type RoomId, type ServerName, serverNameOf, type UserId } from '../matrix/ids.ts'
import { isOneOf, prepared } from './prepared.ts'
import type { Membership, MembershipsTable } from './room-tables.ts'
import type { Db } from './store.ts'

export type MembershipRow = MembershipsTable

/** Sets memberships, whatever they were. */
export async function saveMemberships(db: Db, rows: readonly MembershipRow[]): Promise<void> {
  for (let start = 0; start < rows.length; start += 300) {
    await db
      .insertInto('memberships')
      .values(rows.slice(start, start + 300))
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
  for (let start = 0; start < roomIds.length; start += 500) {
    const some = await db
      .selectFrom('memberships')
      .selectAll()
      .where('user_id', '=', userId)
      .where('room_id', 'in', roomIds.slice(start, start + 500))
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

const selectLocalMember = prepared<{ roomId: RoomId }, { user_id: UserId }>((db, value) =>
  db
    .selectFrom('memberships')
    .select('user_id')
    .where('room_id', '=', value('roomId'))
    .where('membership', '=', 'join')
    .where('is_local', '=', sql.lit(1))
    .limit(1),
)

const selectMemberOf = prepared<{ roomId: RoomId; serverName: ServerName }, { user_id: UserId }>((db, value) =>
  db
    .selectFrom('memberships')
    .select('user_id')
    .where('room_id', '=', value('roomId'))
    .where('membership', '=', 'join')
    .where('server_name', '=', value('serverName'))
    .limit(1),
)

/** Whether a user of a server is in a room. */
export async function hasMemberOf(db: Db, roomId: RoomId, serverName: ServerName): Promise<boolean> {
  return (await selectMemberOf(db, { roomId, serverName })).rows.length > 0
}

/** Whether one of our own users is in a room. */
export async function hasLocalMember(db: Db, roomId: RoomId): Promise<boolean> {
  return (await selectLocalMember(db, { roomId })).rows.length > 0
}

const countLocal = prepared<{ roomId: RoomId }, { count: number }>((db, value) =>
  db
    .selectFrom('memberships')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('room_id', '=', value('roomId'))
    .where('membership', '=', 'join')
    .where('is_local', '=', sql.lit(1)),
)

/** How many of our own users are in a room. */
export async function localJoinedCount(db: Db, roomId: RoomId): Promise<number> {
  return Number((await countLocal(db, { roomId })).rows[0]!.count)
}

/** Which of these servers have a user in the room who is none of `userIds`. */
export async function serversWithOthers(
  db: Db,
  roomId: RoomId,
  servers: readonly ServerName[],
  userIds: readonly UserId[],
): Promise<Set<ServerName>> {
  const except = new Set(userIds)
  const counts = new Map<ServerName, number>()
  for (let start = 0; start < servers.length; start += 500) {
    const rows = await db
      .selectFrom('memberships')
      .select(['server_name', (eb) => eb.fn.countAll<number>().as('count')])
      .where('room_id', '=', roomId)
      .where('membership', '=', 'join')
      .where('server_name', 'in', servers.slice(start, start + 500))
      .groupBy('server_name')
      .execute()
    for (const row of rows) counts.set(row.server_name, Number(row.count))
  }
  // `userIds` are in the room, each counted once.
  for (const userId of except) counts.set(serverNameOf(userId), (counts.get(serverNameOf(userId)) ?? 0) - 1)
  return new Set([...counts].filter(([, count]) => count > 0).map(([server]) => server))
}

// From one server's entry in the index to the next one's: a room has many more members than servers.
const selectServers = prepared<{ roomId: RoomId }, { server_name: ServerName }>((db, value) => {
  const roomId = sql`${value('roomId')}`
  const next = sql`select min(server_name) from memberships where room_id = ${roomId} and membership = 'join'`
  const servers = sql<{ server_name: ServerName }>`(
    with recursive found(server_name) as (
      ${next}
      union all
      select (${next} and memberships.server_name > found.server_name) from found where found.server_name is not null
    )
    select server_name from found where server_name is not null
  )`
  return db.selectFrom(servers.as('servers')).select('servers.server_name')
})

/** All servers that have a user in the room, our own among them. */
export async function serversIn(db: Db, roomId: RoomId): Promise<ServerName[]> {
  return (await selectServers(db, { roomId })).rows.map((row) => row.server_name)
}

const countJoined = prepared<{ roomId: RoomId }, { count: number }>((db, value) =>
  db
    .selectFrom('memberships')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('room_id', '=', value('roomId'))
    .where('membership', '=', 'join'),
)

/** How many are in a room. */
export async function joinedCount(db: Db, roomId: RoomId): Promise<number> {
  return Number((await countJoined(db, { roomId })).rows[0]!.count)
}

/** How many members of each kind rooms have. */
export async function memberCounts(
  db: Db,
  roomIds: readonly RoomId[],
): Promise<{ room_id: RoomId; membership: Membership; count: number }[]> {
  if (roomIds.length === 0) return []
  const rows = await db
    .selectFrom('memberships')
    .select(['room_id', 'membership', (eb) => eb.fn.countAll<number>().as('count')])
    .where('room_id', 'in', roomIds)
    .groupBy(['room_id', 'membership'])
    .execute()
  return rows.map((row) => ({ ...row, count: Number(row.count) }))
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

/** Which of `others` are in a room that `userId` is in. */
export async function usersSharingWith(db: Db, userId: UserId, others: readonly UserId[]): Promise<UserId[]> {
  const found: UserId[] = []
  for (let start = 0; start < others.length; start += 500) {
    const rows = await db
      .selectFrom('memberships as theirs')
      .select('theirs.user_id')
      .distinct()
      .where('theirs.user_id', 'in', others.slice(start, start + 500))
      .where('theirs.membership', '=', 'join')
      .where(({ exists, selectFrom }) =>
        exists(
          selectFrom('memberships as own')
            .select('own.room_id')
            .whereRef('own.room_id', '=', 'theirs.room_id')
            .where('own.user_id', '=', userId)
            .where('own.membership', '=', 'join'),
        ),
      )
      .execute()
    for (const row of rows) found.push(row.user_id)
  }
  return found
}

/** Our own users who are in a room that one of `userIds` is in. */
export async function localUsersSharingWith(db: Db, userIds: readonly UserId[]): Promise<UserId[]> {
  const found = new Set<UserId>()
  for (let start = 0; start < userIds.length; start += 500) {
    const rows = await db
      .selectFrom('memberships as theirs')
      .innerJoin('memberships as ours', 'ours.room_id', 'theirs.room_id')
      .select('ours.user_id')
      .distinct()
      .where('theirs.user_id', 'in', userIds.slice(start, start + 500))
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

/** Which of these remote users are in any room that one of our users is in. */
export async function remoteUsersStillShared(db: Db, userIds: readonly UserId[]): Promise<Set<UserId>> {
  const found = new Set<UserId>()
  for (let start = 0; start < userIds.length; start += 500) {
    const rows = await db
      .selectFrom('memberships as theirs')
      .select('theirs.user_id')
      .distinct()
      .where('theirs.user_id', 'in', userIds.slice(start, start + 500))
      .where('theirs.membership', '=', 'join')
      .where(({ exists, selectFrom }) =>
        exists(
          selectFrom('memberships as ours')
            .select('ours.room_id')
            .whereRef('ours.room_id', '=', 'theirs.room_id')
            .where('ours.is_local', '=', sql.lit(1))
            .where('ours.membership', '=', 'join'),
        ),
      )
      .execute()
    for (const row of rows) found.add(row.user_id)
  }
  return found
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

/**
 * What an invitation or a knock showed of a room.
 * @param shown `events`: JSON array of stripped state events; `toldBy`: the server that showed them
 */
export async function saveStrippedState(
  db: Db,
  { roomId, userId, events, toldBy }: { roomId: RoomId; userId: UserId; events: string; toldBy: ServerName },
): Promise<void> {
  await db
    .insertInto('stripped_state')
    .values({ room_id: roomId, user_id: userId, events, told_by: toldBy })
    .onConflict((conflict) => conflict.columns(['room_id', 'user_id']).doUpdateSet({ events, told_by: toldBy }))
    .execute()
}

/** The server that showed the user what a room is. */
export async function strippedStateSource(db: Db, roomId: RoomId, userId: UserId): Promise<ServerName | undefined> {
  const row = await db
    .selectFrom('stripped_state')
    .select('told_by')
    .where('room_id', '=', roomId)
    .where('user_id', '=', userId)
    .executeTakeFirst()
  return row?.told_by
}

export async function strippedStates(db: Db, userId: UserId, roomIds: readonly RoomId[]): Promise<Map<RoomId, string>> {
  if (roomIds.length === 0) return new Map()
  const rows = await db
    .selectFrom('stripped_state')
    .select(['room_id', 'events'])
    .where('user_id', '=', userId)
    .where('room_id', 'in', roomIds)
    .execute()
  return new Map(rows.map((row) => [row.room_id, row.events]))
}

/** Which of these rooms one of our users is in. */
export async function roomsWithLocalMembers(db: Db, roomIds: readonly RoomId[]): Promise<RoomId[]> {
  if (roomIds.length === 0) return []
  const rows = await db
    .selectFrom('memberships')
    .select('room_id')
    .distinct()
    .where('room_id', 'in', roomIds)
    .where('membership', '=', 'join')
    // A literal, so that the index of local members is used.
    .where('is_local', '=', sql.lit(1))
    .execute()
  return rows.map((row) => row.room_id)
}

/** How many are in each of these rooms. */
export async function joinedCounts(db: Db, roomIds: readonly RoomId[]): Promise<Map<RoomId, number>> {
  if (roomIds.length === 0) return new Map()
  const rows = await db
    .selectFrom('memberships')
    .select(['room_id', (eb) => eb.fn.countAll<number>().as('count')])
    .where('room_id', 'in', roomIds)
    .where('membership', '=', 'join')
    .groupBy('room_id')
    .execute()
  return new Map(rows.map((row) => [row.room_id, Number(row.count)]))
}

/** One user's memberships of these rooms. */
export async function membershipsIn(
  db: Db,
  userId: UserId,
  roomIds: readonly RoomId[],
): Promise<Map<RoomId, Membership>> {
  const found = new Map<RoomId, Membership>()
  for (let start = 0; start < roomIds.length; start += 500) {
    const rows = await db
      .selectFrom('memberships')
      .select(['room_id', 'membership'])
      .where('user_id', '=', userId)
      .where('room_id', 'in', roomIds.slice(start, start + 500))
      .execute()
    for (const row of rows) found.set(row.room_id, row.membership)
  }
  return found
}

/** In which of these rooms a server has users, and to which users of it are invited. */
export async function roomsOfServer(
  db: Db,
  serverName: ServerName,
  roomIds: readonly RoomId[],
): Promise<{ joined: Set<RoomId>; invited: Set<RoomId> }> {
  const found = { joined: new Set<RoomId>(), invited: new Set<RoomId>() }
  for (let start = 0; start < roomIds.length; start += 500) {
    const rows = await db
      .selectFrom('memberships')
      .select(['room_id', 'membership'])
      .distinct()
      .where('room_id', 'in', roomIds.slice(start, start + 500))
      .where('membership', 'in', ['join', 'invite'])
      .where('server_name', '=', serverName)
      .execute()
    for (const row of rows) found[row.membership === 'join' ? 'joined' : 'invited'].add(row.room_id)
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

import { sql } from 'kysely'
import { type RoomId, type ServerName, serverNameOf, type UserId } from '../matrix/ids.ts'
import { inParts } from './parts.ts'
import { prepared } from './prepared.ts'
import type { Membership } from './room-tables.ts'
import type { Db } from './store.ts'

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
  for (const some of inParts(servers, 500)) {
    const rows = await db
      .selectFrom('memberships')
      .select(['server_name', (eb) => eb.fn.countAll<number>().as('count')])
      .where('room_id', '=', roomId)
      .where('membership', '=', 'join')
      .where('server_name', 'in', some)
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

/** In which of these rooms a server has users, and to which users of it are invited. */
export async function roomsOfServer(
  db: Db,
  serverName: ServerName,
  roomIds: readonly RoomId[],
): Promise<{ joined: Set<RoomId>; invited: Set<RoomId> }> {
  const found = { joined: new Set<RoomId>(), invited: new Set<RoomId>() }
  for (const some of inParts(roomIds, 500)) {
    const rows = await db
      .selectFrom('memberships')
      .select(['room_id', 'membership'])
      .distinct()
      .where('room_id', 'in', some)
      .where('membership', 'in', ['join', 'invite'])
      .where('server_name', '=', serverName)
      .execute()
    for (const row of rows) found[row.membership === 'join' ? 'joined' : 'invited'].add(row.room_id)
  }
  return found
}

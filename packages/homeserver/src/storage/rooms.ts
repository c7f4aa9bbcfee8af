import { sql } from 'kysely'
import type { EventId, RoomId } from '../matrix/ids.ts'
import { isPostgres } from './dialect.ts'
import { inParts } from './parts.ts'
import { prepared } from './prepared.ts'
import type { RoomsTable } from './room-tables.ts'
import type { Db } from './store.ts'

/** An event that none follows yet, with the state group after it. */
export type Extremity = { eventId: EventId; depth: number; stateAfter: number }

/** A room's row, read. */
export type RoomRow = {
  roomId: RoomId
  version: string
  extremities: readonly Extremity[]
  stateGroup: number | null
  depth: number
  lastPosition: number
  oldestPosition: number
  published: boolean
}

type StoredRow = Omit<RoomsTable, 'published' | 'is_open' | 'created_at'> & { published: number }

const COLUMNS = [
  'room_id',
  'version',
  'extremities',
  'state_group',
  'depth',
  'last_position',
  'oldest_position',
  'published',
] as const

const selectRoom = prepared<{ roomId: RoomId }, StoredRow>((db, value) =>
  db.selectFrom('rooms').select(COLUMNS).where('room_id', '=', value('roomId')),
)
const selectRoomForUpdate = prepared<{ roomId: RoomId }, StoredRow>((db, value) => {
  const query = db.selectFrom('rooms').select(COLUMNS).where('room_id', '=', value('roomId'))
  return isPostgres(db) ? query.forUpdate() : query
})

export async function roomRow(db: Db, roomId: RoomId): Promise<RoomRow | undefined> {
  return (await selectRoom(db, { roomId })).rows.map(readRow)[0]
}

/** The row, locked until the transaction ends: other writers of this room wait. */
export async function lockedRoomRow(db: Db, roomId: RoomId): Promise<RoomRow | undefined> {
  return (await selectRoomForUpdate(db, { roomId })).rows.map(readRow)[0]
}

export async function roomRows(db: Db, roomIds: readonly RoomId[]): Promise<Map<RoomId, RoomRow>> {
  if (roomIds.length === 0) return new Map()
  const rows = await db.selectFrom('rooms').select(COLUMNS).where('room_id', 'in', roomIds).execute()
  return new Map(rows.map((row) => [row.room_id, readRow(row)]))
}

/** The versions of those of the rooms that are known. */
export async function roomVersionIds(db: Db, roomIds: readonly RoomId[]): Promise<Map<RoomId, string>> {
  const versions = new Map<RoomId, string>()
  for (const some of inParts(roomIds, 500)) {
    const rows = await db.selectFrom('rooms').select(['room_id', 'version']).where('room_id', 'in', some).execute()
    for (const row of rows) versions.set(row.room_id, row.version)
  }
  return versions
}

function readRow(row: StoredRow): RoomRow {
  const extremities = JSON.parse(row.extremities) as [EventId, number, number][]
  return {
    roomId: row.room_id,
    version: row.version,
    extremities: extremities.map(([eventId, depth, stateAfter]) => ({ eventId, depth, stateAfter })),
    stateGroup: row.state_group,
    depth: row.depth,
    lastPosition: row.last_position,
    oldestPosition: row.oldest_position,
    published: row.published === 1,
  }
}

/** Makes the row of a room that is not known yet; a known one stays as it is. */
export async function addRoom(db: Db, roomId: RoomId, version: string, now: number): Promise<void> {
  await db
    .insertInto('rooms')
    .values({
      room_id: roomId,
      version,
      extremities: '[]',
      state_group: null,
      depth: 0,
      last_position: 0,
      oldest_position: 0,
      created_at: now,
    })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}

const updateRoom = prepared<{
  roomId: RoomId
  extremities: string
  stateGroup: number | null
  depth: number
  lastPosition: number
}>((db, value) =>
  db
    .updateTable('rooms')
    .set({
      extremities: value('extremities'),
      state_group: value('stateGroup'),
      depth: value('depth'),
      last_position: value('lastPosition'),
    })
    .where('room_id', '=', value('roomId')),
)

/** Writes what adding events changes of a room. */
export async function saveRoom(
  db: Db,
  room: Pick<RoomRow, 'roomId' | 'extremities' | 'stateGroup' | 'depth' | 'lastPosition'>,
): Promise<void> {
  const { extremities, ...rest } = room
  const text = JSON.stringify(extremities.map(({ eventId, depth, stateAfter }) => [eventId, depth, stateAfter]))
  const { roomId, stateGroup, depth, lastPosition } = rest
  await updateRoom(db, { roomId, stateGroup, depth, lastPosition, extremities: text })
}

/** Gives out `count` places before everything that the room has. @returns the lowest of them */
export async function takeOldestPositions(db: Db, roomId: RoomId, count: number): Promise<number> {
  const row = await db
    .updateTable('rooms')
    .set((eb) => ({ oldest_position: eb('oldest_position', '-', count) }))
    .where('room_id', '=', roomId)
    .returning('oldest_position')
    .executeTakeFirstOrThrow()
  return row.oldest_position
}

/** Notes whether anybody may join or read the room. */
export async function setOpen(db: Db, roomId: RoomId, isOpen: boolean): Promise<void> {
  await db
    .updateTable('rooms')
    .set({ is_open: isOpen ? 1 : 0 })
    .where('room_id', '=', roomId)
    .execute()
}

/** Whether the room stands in the public room directory. */
export async function setPublished(db: Db, roomId: RoomId, published: boolean): Promise<void> {
  await db
    .updateTable('rooms')
    .set({ published: published ? 1 : 0 })
    .where('room_id', '=', roomId)
    .execute()
}

/** The rooms in the public room directory that one of our users is in, each with how many are. */
export async function publishedRooms(db: Db): Promise<{ roomId: RoomId; members: number }[]> {
  const rows = await db
    .selectFrom('rooms')
    .select(({ selectFrom }) => [
      'rooms.room_id',
      selectFrom('memberships')
        .select(({ fn }) => fn.countAll<number>().as('count'))
        .whereRef('memberships.room_id', '=', 'rooms.room_id')
        .where('memberships.membership', '=', 'join')
        .as('members'),
    ])
    // A literal, so that the index of published rooms is used.
    .where('rooms.published', '=', sql.lit(1))
    .where(({ exists, selectFrom }) =>
      exists(
        selectFrom('memberships')
          .select('memberships.user_id')
          .whereRef('memberships.room_id', '=', 'rooms.room_id')
          .where('memberships.membership', '=', 'join')
          .where('memberships.is_local', '=', sql.lit(1)),
      ),
    )
    .execute()
  return rows.map((row) => ({ roomId: row.room_id, members: Number(row.members) }))
}

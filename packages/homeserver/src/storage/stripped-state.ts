import type { RoomId, ServerName, UserId } from '../matrix/ids.ts'
import type { Db } from './store.ts'

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

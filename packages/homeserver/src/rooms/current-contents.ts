import type { RoomId } from '../matrix/ids.ts'
import { isObject } from '../matrix/json.ts'
import { currentPdus } from '../storage/room-state.ts'
import type { Db } from '../storage/store.ts'

/** Contents of a room's state now, by event type: of those with an empty state key. Nothing is said of their shape. */
export type CurrentContents = ReadonlyMap<string, Record<string, unknown>>

/** The contents of these types in these rooms, by one query. */
export async function currentContents(
  db: Db,
  roomIds: readonly RoomId[],
  types: readonly string[],
): Promise<Map<RoomId, CurrentContents>> {
  const found = new Map<RoomId, Map<string, Record<string, unknown>>>(roomIds.map((roomId) => [roomId, new Map()]))
  for (const { room_id: roomId, type, pdu } of await currentPdus(db, roomIds, types)) {
    const { content } = JSON.parse(pdu) as { content: unknown }
    if (isObject(content)) found.get(roomId)!.set(type, content)
  }
  return found
}

/** Whether anybody may read what is said in a room. Client-server API, "Room History Visibility". */
export async function isWorldReadable(db: Db, roomId: RoomId): Promise<boolean> {
  const contents = await currentContents(db, [roomId], ['m.room.history_visibility'])
  return contents.get(roomId)!.get('m.room.history_visibility')?.history_visibility === 'world_readable'
}

/** Whether anybody may join a room, or read what is said there. */
export async function isOpen(db: Db, roomId: RoomId): Promise<boolean> {
  const contents = await currentContents(db, [roomId], ['m.room.join_rules', 'm.room.history_visibility'])
  const content = contents.get(roomId)!
  return (
    content.get('m.room.join_rules')?.join_rule === 'public' ||
    content.get('m.room.history_visibility')?.history_visibility === 'world_readable'
  )
}

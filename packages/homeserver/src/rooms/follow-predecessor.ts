import { stateEntry } from '../matrix/events.ts'
import { isRoomId, type UserId } from '../matrix/ids.ts'
import { isObject } from '../matrix/json.ts'
import { moveAliases } from '../storage/room-aliases.ts'
import { roomRow, setPublished } from '../storage/rooms.ts'
import { currentContents } from './current-contents.ts'
import type { RoomParts } from './ports.ts'
import type { WritableRoom } from './writable-room.ts'

const TOMBSTONE = 'm.room.tombstone'

/**
 * Where users of ours have come into a room that another one was upgraded to, they take along what is their own, and the
 * first of them our aliases and the place in our directory. Client-server API, "Room Upgrades", "Server behaviour". Both
 * rooms have to say so: nobody else's room is taken over.
 * @param isFirst whether none of our users was in the room before
 */
export async function followPredecessor(
  { watchers, events }: Pick<RoomParts, 'watchers' | 'events'>,
  room: WritableRoom,
  userIds: readonly UserId[],
  isFirst: boolean,
): Promise<void> {
  const { tx, roomId } = room
  const predecessor = await predecessorOf(events, room)
  if (predecessor === undefined || predecessor === roomId) return
  const contents = await currentContents(tx.db, [predecessor], [TOMBSTONE])
  if (contents.get(predecessor)!.get(TOMBSTONE)?.replacement_room !== roomId) return
  if (isFirst) {
    await moveAliases(tx.db, predecessor, roomId)
    if ((await roomRow(tx.db, predecessor))?.published) {
      await setPublished(tx.db, predecessor, false)
      await setPublished(tx.db, roomId, true)
    }
  }
  for (const userId of userIds) await watchers.succeeded(tx, userId, { from: predecessor, to: roomId })
}

async function predecessorOf(events: RoomParts['events'], { tx, version, current }: WritableRoom) {
  const eventId = current?.map.get(stateEntry('m.room.create', ''))
  if (eventId === undefined) return undefined
  const create = (await events.load(tx.db, version, [eventId])).get(eventId)?.event
  const predecessor = create?.content.predecessor
  return isObject(predecessor) && isRoomId(predecessor.room_id) ? predecessor.room_id : undefined
}

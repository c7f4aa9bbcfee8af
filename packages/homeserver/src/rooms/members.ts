import { forbidden } from '../matrix/errors.ts'
import { stateEntry } from '../matrix/events.ts'
import type { RoomId, UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { type MembershipRow, membershipRow, setForgotten } from '../storage/memberships.ts'
import type { Membership } from '../storage/room-tables.ts'
import { memberContent } from './member-content.ts'
import type { RoomParts } from './ports.ts'
import { send } from './send.ts'
import type { RoomWriter, WritableRoom } from './writable-room.ts'

/** Changes of who is in a room that is on this server. */
export type Members = {
  /**
   * Changes the membership of `target` as `sender` wishes, in a room that one of our users is in. What is so already stays
   * without an event.
   * @param more further members of the event's content, such as `reason`
   * @throws `M_FORBIDDEN` if the rules do not allow it, `M_NOT_FOUND` for a room that is not known
   */
  change(sender: UserId, roomId: RoomId, target: UserId, membership: Membership, more?: JsonObject): Promise<void>
  membershipOf(roomId: RoomId, userId: UserId): Promise<MembershipRow | undefined>
  /** @throws `M_FORBIDDEN` while the user is in the room or invited */
  forget(userId: UserId, roomId: RoomId): Promise<void>
}

export function createMembers(parts: RoomParts, writer: RoomWriter): Members {
  const { store } = parts
  return {
    async change(sender, roomId, target, membership, more) {
      const content = await memberContent(parts, target, membership, more)
      await writer.write(roomId, (room) => changeMember(parts, room, sender, target, content))
    },
    membershipOf: (roomId, userId) => membershipRow(store.db, roomId, userId),
    async forget(userId, roomId) {
      const own = await membershipRow(store.db, roomId, userId)
      if (own && own.membership !== 'leave' && own.membership !== 'ban') {
        throw forbidden('A room that you are in cannot be forgotten')
      }
      await setForgotten(store.db, roomId, userId)
    },
  }
}

async function changeMember(
  parts: RoomParts,
  room: WritableRoom,
  sender: UserId,
  target: UserId,
  content: JsonObject,
): Promise<void> {
  const eventId = room.current?.map.get(stateEntry('m.room.member', target))
  const known = eventId && (await parts.events.load(room.tx.db, room.version, [eventId])).get(eventId)?.event
  if (known && known.content.membership === content.membership && content.membership === 'join') return
  await send(parts, room, { type: 'm.room.member', stateKey: target, sender, content })
}

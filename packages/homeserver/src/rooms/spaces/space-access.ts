import type { RoomId, ServerName, UserId } from '../../matrix/ids.ts'
import { membershipsIn } from '../../storage/memberships.ts'
import { roomsOfServer } from '../../storage/room-population.ts'
import type { Db } from '../../storage/store.ts'
import type { RoomSummary } from '../room-summary.ts'
import { allowedRooms, isOpen } from './space-room.ts'

/**
 * Which of these rooms a user may be shown: those they are in, invited to or may join, ask to join or read. Client-server
 * API, `GET /rooms/{roomId}/hierarchy`.
 * @param userId `undefined` for whoever has not logged in
 */
export async function visibleToUser(
  db: Db,
  userId: UserId | undefined,
  rooms: readonly RoomSummary[],
): Promise<Set<RoomId>> {
  if (userId === undefined) return new Set(rooms.filter(isOpen).map((room) => room.room_id))
  const ids = rooms.flatMap((room) => [room.room_id, ...allowedRooms(room)])
  const memberships = await membershipsIn(db, userId, [...new Set(ids)])
  const isVisible = (room: RoomSummary) => {
    const own = memberships.get(room.room_id)
    if (own === 'ban') return false
    const isAllowed = () => allowedRooms(room).some((roomId) => memberships.get(roomId) === 'join')
    return own === 'join' || own === 'invite' || isOpen(room) || isAllowed()
  }
  return new Set(rooms.filter(isVisible).map((room) => room.room_id))
}

/**
 * Which of these rooms another server may be told of: those that it is in, or that some user of it may join, ask to join
 * or read. Server-server API, `GET /hierarchy/{roomId}`.
 */
export async function visibleToServer(
  db: Db,
  serverName: ServerName,
  rooms: readonly RoomSummary[],
): Promise<Set<RoomId>> {
  const ids = rooms.flatMap((room) => [room.room_id, ...allowedRooms(room)])
  const { joined, invited } = await roomsOfServer(db, serverName, [...new Set(ids)])
  const isVisible = (room: RoomSummary) =>
    joined.has(room.room_id) ||
    invited.has(room.room_id) ||
    isOpen(room) ||
    allowedRooms(room).some((roomId) => joined.has(roomId))
  return new Set(rooms.filter(isVisible).map((room) => room.room_id))
}

import type { RoomId, UserId } from '../matrix/ids.ts'
import { createSizedCache } from '../platform/bounded-cache.ts'
import { joinedRoomIds } from '../storage/memberships.ts'
import { membershipChangesOf } from '../storage/room-state.ts'
import type { Store } from '../storage/store.ts'

/** The rooms that users are in: kept, and brought up to date by what has changed since. */
export type JoinedRooms = (userId: UserId) => Promise<ReadonlySet<RoomId>>

/** Rooms of all users in memory. */
const KEPT_ROOMS = 500_000

/** @returns gives the rooms that a user is in now; the same set as before while nothing has changed */
export function createJoinedRooms(store: Store): JoinedRooms {
  // Brought up to date from the database at each call: it does not matter which process made a change.
  const kept = createSizedCache<UserId, { upTo: number; rooms: ReadonlySet<RoomId> }>(
    KEPT_ROOMS,
    ({ rooms }) => rooms.size + 1,
  )
  return async (userId) => {
    const known = kept.get(userId)
    if (!known) {
      // What changes while the rooms are read is read again the next time.
      const upTo = await store.position()
      const rooms = new Set(await joinedRoomIds(store.db, userId))
      kept.set(userId, { upTo, rooms })
      return rooms
    }
    const changes = await membershipChangesOf(store.db, userId, known.upTo, Number.MAX_SAFE_INTEGER)
    if (changes.length === 0) return known.rooms
    const rooms = new Set(known.rooms)
    for (const { room_id: roomId, membership } of changes) {
      if (membership === 'join') rooms.add(roomId)
      else rooms.delete(roomId)
    }
    const isSame = rooms.size === known.rooms.size && rooms.isSubsetOf(known.rooms)
    const next = { upTo: changes.at(-1)!.position, rooms: isSame ? known.rooms : rooms }
    kept.set(userId, next)
    return next.rooms
  }
}

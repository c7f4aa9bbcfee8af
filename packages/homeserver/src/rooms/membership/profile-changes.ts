import { isDeepStrictEqual } from 'node:util'
import type { UserId } from '../../matrix/ids.ts'
import { createKeyedLock } from '../../platform/keyed-lock.ts'
import { createSemaphore } from '../../platform/semaphore.ts'
import { joinedRoomIds } from '../../storage/memberships.ts'
import type { RoomParts } from '../ports.ts'
import type { RoomWriter, WritableRoom } from '../writable-room.ts'
import { changeMember, memberEvent } from './member-change.ts'

/** Rooms that hear of a profile at the same time. */
const PARALLEL = 4

type Profile = Awaited<ReturnType<RoomParts['profileOf']>>

/**
 * Tells the rooms that a user is in what they are called now. A room that cannot be told is logged, and keeps none of the
 * others from hearing of it. Client-server API, "Profiles", "Events on Change of Profile Information".
 */
export function createProfileChanges(parts: RoomParts, writer: RoomWriter): (userId: UserId) => Promise<void> {
  // Of two changes, the later one is told last. Another process may make one of them: whoever has told what is no longer true by then
  // tells again.
  const lock = createKeyedLock()
  return (userId) =>
    lock(userId, async () => {
      const permits = createSemaphore(PARALLEL)
      const roomIds = await joinedRoomIds(parts.store.db, userId)
      const tell = (roomId: (typeof roomIds)[number], profile: Profile) =>
        writer
          .write(roomId, (room) => tellRoom(parts, room, userId, profile))
          .catch((error: unknown) => parts.log.warn({ err: error, roomId, userId }, 'a room was not told of a profile'))
      let told: Profile
      let now = await parts.profileOf(userId)
      do {
        told = now
        await Promise.all(roomIds.map((roomId) => permits.run(() => tell(roomId, told))))
        now = await parts.profileOf(userId)
      } while (!isDeepStrictEqual(now, told))
    })
}

async function tellRoom(parts: RoomParts, room: WritableRoom, userId: UserId, profile: Profile): Promise<void> {
  const known = await memberEvent(parts, room, userId)
  if (known?.content.membership !== 'join') return
  const {
    displayname: _,
    avatar_url: __,
    reason: ___,
    third_party_invite: ____,
    join_authorised_via_users_server: _____,
    ...kept
  } = known.content
  const content = { ...kept, ...profile, membership: 'join' as const }
  if (known.content.displayname === profile.displayname && known.content.avatar_url === profile.avatar_url) return
  await changeMember(parts, room, { sender: userId, target: userId, content })
}

import type { RoomId } from '../matrix/ids.ts'
import { createBoundedCache } from '../platform/bounded-cache.ts'
import { type RoomVersion, roomVersion } from '../state/room-versions.ts'
import { roomVersionIds } from '../storage/rooms.ts'
import type { Db } from '../storage/store.ts'

/** The versions of rooms, which never change. Rooms that are not known are left out. */
export type Versions = {
  load(db: Db, roomIds: Iterable<RoomId>): Promise<Map<RoomId, RoomVersion>>
}

const KEPT = 20_000

export function createVersions(): Versions {
  // A room keeps its version, whichever process reads it.
  const kept = createBoundedCache<RoomId, RoomVersion>(KEPT)
  return {
    async load(db, roomIds) {
      const found = new Map<RoomId, RoomVersion>()
      const missing: RoomId[] = []
      for (const roomId of new Set(roomIds)) {
        const known = kept.get(roomId)
        if (known) found.set(roomId, known)
        else missing.push(roomId)
      }
      if (missing.length === 0) return found
      for (const [roomId, id] of await roomVersionIds(db, missing)) {
        const version = roomVersion(id)
        if (!version) continue
        found.set(roomId, version)
        kept.set(roomId, version)
      }
      return found
    },
  }
}

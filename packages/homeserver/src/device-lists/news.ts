import type { UserId } from '../matrix/ids.ts'
import { changedUsers, noticedUsers } from '../storage/device-list-stream.ts'
import type { Db } from '../storage/store.ts'
import type { SharedRooms } from './tracking.ts'

/** `device_lists` of a sync: whose list is to be asked for again, and who is no longer of interest. */
export type DeviceListNews = { changed: UserId[]; left: UserId[] }

/**
 * Whose lists changed for a user between two positions of the stream: those they share a room with, they themselves,
 * and those whose refresh they asked for. `/sync` and `/keys/changes` both answer with this.
 * Client-server API, "Extensions to /sync", "GET /keys/changes".
 */
export async function deviceListNews(
  db: Db,
  sharedRooms: SharedRooms,
  userId: UserId,
  after: number,
  upTo: number,
): Promise<DeviceListNews> {
  if (after >= upTo) return { changed: [], left: [] }
  const [everybody, noticed] = await Promise.all([changedUsers(db, after, upTo), noticedUsers(db, userId, after, upTo)])
  const changed = new Set(noticed)
  if (everybody.length > 0) {
    for (const sharer of await sharedRooms.sharing(db, userId, everybody)) changed.add(sharer)
    if (everybody.includes(userId)) changed.add(userId)
  }
  return { changed: [...changed], left: [] }
}

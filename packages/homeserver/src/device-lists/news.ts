import type { UserId } from '../matrix/ids.ts'
import { changedUsers, noticedUsers } from '../storage/device-list-stream.ts'
import type { Db } from '../storage/store.ts'
import type { SharedRooms } from './tracking.ts'

/** `device_lists` of a sync: whose list is to be asked for again, and who is no longer of interest. */
export type DeviceListNews = { changed: UserId[]; left: UserId[] }

/**
 * Whose lists changed for a user between two positions of the stream: those they share a room with, they themselves,
 * those with whom they have come to share one, and those whose refresh they asked for. And with whom they share none any
 * more. `/sync` and `/keys/changes` both answer with this. Client-server API, "Extensions to /sync", "GET /keys/changes".
 */
export async function deviceListNews(
  db: Db,
  sharedRooms: SharedRooms,
  userId: UserId,
  after: number,
  upTo: number,
): Promise<DeviceListNews> {
  if (after >= upTo) return { changed: [], left: [] }
  const everybody = await changedUsers(db, after, upTo)
  const noticed = await noticedUsers(db, userId, after, upTo)
  const { met, parted, invited } = await sharedRooms.movements(db, userId, after, upTo)
  const candidates = new Set([...everybody, ...met, ...parted])
  const sharing = candidates.size > 0 ? await sharedRooms.sharing(db, userId, [...candidates]) : new Set<UserId>()
  // Whoever invites somebody may want to give them the keys to what was said before they come.
  const changed = new Set([...noticed, ...invited])
  // To a room that they come to, their own devices are new, too.
  if (everybody.includes(userId) || met.includes(userId)) changed.add(userId)
  for (const other of [...everybody, ...met]) if (sharing.has(other)) changed.add(other)
  return { changed: [...changed], left: parted.filter((other) => other !== userId && !sharing.has(other)) }
}

import { forbidden } from '../matrix/errors.ts'
import { stateEntry } from '../matrix/events.ts'
import type { RoomId, UserId } from '../matrix/ids.ts'
import type { RoomVersion } from '../state/room-versions.ts'
import { eventRow } from '../storage/events.ts'
import { type MembershipRow, membershipRow } from '../storage/memberships.ts'
import { lastDepartures } from '../storage/room-state.ts'
import { roomRow } from '../storage/rooms.ts'
import type { Db } from '../storage/store.ts'
import { HISTORY_VISIBILITY, historyVisibilityOf } from './history-visibility.ts'
import { type Place, placeAfter } from './pagination-token.ts'
import type { RoomParts } from './ports.ts'
import { ignoredBy, type Viewer } from './viewers.ts'

/** How a user may read a room. */
export type RoomAccess = {
  roomId: RoomId
  version: RoomVersion
  viewer: Viewer
  membership: MembershipRow | undefined
  /** The group of the state that they are shown: that of now, or of when they left. */
  stateGroup: number
  /** Nothing behind this place is theirs to read: they left there. */
  until: Place | undefined
}

type Parts = Pick<RoomParts, 'events' | 'states' | 'versions'>
type Requester = { userId: UserId; deviceId?: string | undefined }

/**
 * Lets a user read a room: whoever is in it, whoever was (as it was when they left), whoever is invited as far as single
 * events are shown to them, and everybody where it is world-readable now.
 * @param forEvents whether every event is looked at for itself before it is shown; the invited have nothing else
 * @throws `M_FORBIDDEN`, whether or not there is such a room
 */
export async function accessRoom(
  parts: Parts,
  db: Db,
  requester: Requester,
  roomId: RoomId,
  { forEvents = false } = {},
): Promise<RoomAccess> {
  const { userId, deviceId } = requester
  const [row, version] = [await roomRow(db, roomId), (await parts.versions.load(db, [roomId])).get(roomId)]
  if (!row || row.stateGroup === null || !version) throw notReadable()
  const membership = await membershipRow(db, roomId, userId)
  const isJoined = membership?.membership === 'join'
  const [departure] = isJoined ? [] : await lastDepartures(db, userId, [roomId])
  const joinedUntil = isJoined ? Number.POSITIVE_INFINITY : departure?.position
  const viewer: Viewer = {
    userId,
    deviceId,
    ignored: await ignoredBy(db, userId),
    joinedUntil: new Map(joinedUntil === undefined ? [] : [[roomId, joinedUntil]]),
  }
  const now = { roomId, version, viewer, membership, stateGroup: row.stateGroup, until: undefined }
  if (isJoined || (await isWorldReadable(parts, db, version, row.stateGroup))) return now
  if (membership?.membership === 'invite' && forEvents) return now
  if (!departure || membership?.forgotten === 1) throw notReadable()
  const left = departure.event_id === null ? undefined : await eventRow(db, departure.event_id)
  if (!left || left.state_after === null || left.position === null) return now
  return { ...now, stateGroup: left.state_after, until: placeAfter(left) }
}

const notReadable = () => forbidden('You are not in this room, and never were')

async function isWorldReadable(parts: Parts, db: Db, version: RoomVersion, group: number): Promise<boolean> {
  const entry = stateEntry(HISTORY_VISIBILITY, '')
  const eventId = (await parts.states.pick(db, new Map([[group, [entry]]]))).get(group)?.get(entry)
  if (eventId === undefined) return false
  const known = (await parts.events.load(db, version, [eventId])).get(eventId)
  return historyVisibilityOf(known?.event.content) === 'world_readable'
}

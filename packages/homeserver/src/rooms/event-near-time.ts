import { notFound } from '../matrix/errors.ts'
import type { EventId, RoomId } from '../matrix/ids.ts'
import { eventPage, eventsNearTime, hasGap } from '../storage/event-pages.ts'
import type { Db } from '../storage/store.ts'
import { placeAfter } from './pagination-token.ts'
import type { RoomParts } from './ports.ts'
import { accessRoom, type RoomAccess } from './room-access.ts'
import type { Viewer } from './viewers.ts'
import { type SeenEvent, seenEvents } from './visibility.ts'

/** A time (epoch ms) and whether an event at or after it is wanted, or at or before it. */
export type TimeQuery = { ts: number; dir: 'f' | 'b' }

export type NearEvent = { event_id: EventId; origin_server_ts: number }

/**
 * Brings an event here from another server that is nearer to a time than one of ours.
 * @param ours when the nearest of ours was sent (epoch ms), if there is any
 * @returns whether there was one
 */
export type EventElsewhere = (roomId: RoomId, query: TimeQuery, ours: number | undefined) => Promise<boolean>

/** What of the past is looked at to find an event that the user may see. */
const CANDIDATES = 100

/**
 * `GET /rooms/{roomId}/timestamp_to_event`: the nearest event to a time that the user may see. Where it stands at a gap of
 * our history, other servers are asked for a nearer one.
 * @throws `M_FORBIDDEN`, `M_NOT_FOUND`
 */
export async function eventNearTime(
  parts: RoomParts,
  elsewhere: EventElsewhere,
  requester: Pick<Viewer, 'userId' | 'deviceId'>,
  roomId: RoomId,
  query: TimeQuery,
): Promise<NearEvent> {
  const { db } = parts.store
  const access = await accessRoom(parts, db, requester, roomId, { forEvents: true })
  const ours = await nearest(parts, db, access, query)
  const mayBeNearer = await isAtGap(db, access, ours)
  const brought = mayBeNearer && (await elsewhere(roomId, query, ours?.event.originServerTs))
  const found = brought ? await nearest(parts, db, access, query) : ours
  if (!found) throw notFound(`There is no event ${query.dir === 'f' ? 'after' : 'before'} this time`)
  return { event_id: found.event.eventId, origin_server_ts: found.event.originServerTs }
}

async function nearest(
  parts: RoomParts,
  db: Db,
  { roomId, viewer }: RoomAccess,
  query: TimeQuery,
): Promise<SeenEvent | undefined> {
  const rows = await eventsNearTime(db, roomId, { ...query, limit: CANDIDATES })
  return (await seenEvents(parts, db, { ...viewer, ignored: new Set() }, rows))[0]
}

/** Whether something is missing right before or behind an event; where there is none, anywhere. */
async function isAtGap(db: Db, { roomId }: RoomAccess, found: SeenEvent | undefined): Promise<boolean> {
  if (!found) return hasGap(db, roomId, { lowest: 0, highest: Number.MAX_SAFE_INTEGER })
  const [next] = await eventPage(db, roomId, { dir: 'f', from: placeAfter(found.row), limit: 1 })
  return hasGap(db, roomId, { lowest: found.row.depth, highest: next?.depth ?? found.row.depth })
}

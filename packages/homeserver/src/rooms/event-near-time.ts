import { notFound } from '../matrix/errors.ts'
import type { EventId, RoomId } from '../matrix/ids.ts'
import { eventsNearTime } from '../storage/event-pages.ts'
import type { RoomParts } from './ports.ts'
import { accessRoom } from './room-access.ts'
import type { Viewer } from './viewers.ts'
import { seenEvents } from './visibility.ts'

/** A time (epoch ms) and whether an event at or after it is wanted, or at or before it. */
export type TimeQuery = { ts: number; dir: 'f' | 'b' }

export type NearEvent = { event_id: EventId; origin_server_ts: number }

/** What of the past is looked at to find an event that the user may see. */
const CANDIDATES = 100

/**
 * `GET /rooms/{roomId}/timestamp_to_event`: the nearest event to a time that the user may see.
 * @throws `M_FORBIDDEN`, `M_NOT_FOUND`
 */
export async function eventNearTime(
  parts: RoomParts,
  requester: Pick<Viewer, 'userId' | 'deviceId'>,
  roomId: RoomId,
  query: TimeQuery,
): Promise<NearEvent> {
  const { db } = parts.store
  const access = await accessRoom(parts, db, requester, roomId, { forEvents: true })
  const rows = await eventsNearTime(db, roomId, { ...query, limit: CANDIDATES })
  const [nearest] = await seenEvents(parts, db, { ...access.viewer, ignored: new Set() }, rows)
  if (!nearest) throw notFound(`There is no event ${query.dir === 'f' ? 'after' : 'before'} this time`)
  return { event_id: nearest.event.eventId, origin_server_ts: nearest.event.originServerTs }
}

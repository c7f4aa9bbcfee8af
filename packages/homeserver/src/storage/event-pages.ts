import { type RawBuilder, sql } from 'kysely'
import type { EventId, RoomId } from '../matrix/ids.ts'
import type { EventRow } from './events.ts'
import { isOneOf, preparedForAny } from './prepared.ts'
import type { Db } from './store.ts'

/** A place between two events, in the order of depth and position. */
type Place = { depth: number; position: number }

type Page = {
  /** `f` gives events after `from` and up to `to`, oldest first; `b` those up to `from` and after `to`, newest first. */
  dir: 'f' | 'b'
  from?: Place | undefined
  to?: Place | undefined
  /** Events at later positions are left out. */
  newest?: number | undefined
  limit: number
}

/** Events of a room that clients may be shown, in the order of depth and position. */
export async function eventPage(db: Db, roomId: RoomId, { dir, from, to, newest, limit }: Page): Promise<EventRow[]> {
  const [after, upTo] = dir === 'f' ? [from, to] : [to, from]
  const order = dir === 'f' ? 'asc' : 'desc'
  let query = db
    .selectFrom('events')
    .selectAll()
    .where('room_id', '=', roomId)
    .where('status', '=', 'accepted')
    .where('position', 'is not', null)
  if (after) {
    query = query.where((eb) => eb(eb.refTuple('depth', 'position'), '>', eb.tuple(after.depth, after.position)))
  }
  if (upTo) {
    query = query.where((eb) => eb(eb.refTuple('depth', 'position'), '<=', eb.tuple(upTo.depth, upTo.position)))
  }
  // As an expression, so that the index of the order is taken.
  if (newest !== undefined) query = query.where(sql<boolean>`position + 0 <= ${newest}`)
  return query.orderBy('depth', order).orderBy('position', order).limit(limit).execute()
}

/** The place behind everything in a room that is not after a position of the stream. */
export async function placeAtPosition(db: Db, roomId: RoomId, position: number): Promise<Place | undefined> {
  const row = await db
    .selectFrom('events')
    .select(['depth', 'position'])
    .where('room_id', '=', roomId)
    .where('status', '=', 'accepted')
    // As an expression, so that the index of the order is taken: the newest events come first.
    .where(sql<boolean>`position + 0 <= ${position}`)
    .orderBy('depth', 'desc')
    .orderBy('position', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row && { depth: row.depth, position: row.position! }
}

/** Whether something is missing behind an event whose depth is in this range. */
export async function hasGap(
  db: Db,
  roomId: RoomId,
  { lowest, highest }: { lowest: number; highest: number },
): Promise<boolean> {
  const row = await db
    .selectFrom('missing_events')
    .select('event_id')
    .where('room_id', '=', roomId)
    .where('depth', '>=', lowest)
    .where('depth', '<=', highest)
    .limit(1)
    .executeTakeFirst()
  return row !== undefined
}

/** What is missing behind events of these rooms that are at least so deep. */
export async function gapsFrom(
  db: Db,
  roomIds: readonly RoomId[],
  depth: number,
): Promise<{ room_id: RoomId; event_id: EventId }[]> {
  return selectGaps(db, roomIds, { depth })
}

const selectGaps = preparedForAny<{ room_id: RoomId; event_id: EventId }, { depth: number }>(
  'room_id',
  (db, isChosen, value) =>
    db
      .selectFrom('missing_events')
      .select(['room_id', 'event_id'])
      .where(isChosen)
      .where('depth', '>=', value('depth')),
)

/** The events that are at least, or at most, as old as a time (epoch ms): the nearest to it first. */
export async function eventsNearTime(
  db: Db,
  roomId: RoomId,
  { ts, dir, limit }: { ts: number; dir: 'f' | 'b'; limit: number },
): Promise<EventRow[]> {
  const order = dir === 'f' ? 'asc' : 'desc'
  return db
    .selectFrom('events')
    .selectAll()
    .where('room_id', '=', roomId)
    .where('position', 'is not', null)
    .where('status', '=', 'accepted')
    .where('origin_server_ts', dir === 'f' ? '>=' : '<=', ts)
    .orderBy('origin_server_ts', order)
    .orderBy('depth', order)
    .orderBy('position', order)
    .limit(limit)
    .execute()
}

const relatedTo = (db: Db, isChosen: RawBuilder<boolean>) =>
  db
    .selectFrom('events')
    .select('relates_to')
    .distinct()
    .where(isChosen)
    .where('status', '=', 'accepted')
    .where('position', 'is not', null)
const selectRelatedTo = preparedForAny<{ relates_to: EventId | null }>('relates_to', relatedTo)

/** Those of the events that others relate to: by one of these types, or from one of these users. */
export async function relatedEvents(
  db: Db,
  eventIds: readonly EventId[],
  { relTypes, senders }: { relTypes: readonly string[] | undefined; senders: readonly string[] | undefined },
): Promise<Set<EventId>> {
  if (!relTypes && !senders) {
    const rows = await selectRelatedTo(db, eventIds)
    return new Set(rows.map((row) => row.relates_to!))
  }
  let query = relatedTo(db, isOneOf(db, 'relates_to', JSON.stringify(eventIds)))
  if (relTypes) query = query.where('rel_type', 'in', relTypes.slice(0, MAX_CHOICES))
  if (senders) query = query.where('sender', 'in', senders.slice(0, MAX_CHOICES) as never)
  return new Set((await query.execute()).map((row) => row.relates_to!))
}

/** What one statement has room for. */
const MAX_CHOICES = 100

/** Events that are at most so deep in their room, the deepest first, accepted or not. */
export async function eventsUpToDepth(db: Db, roomId: RoomId, depth: number, limit: number): Promise<EventRow[]> {
  return db
    .selectFrom('events')
    .selectAll()
    .where('room_id', '=', roomId)
    .where('depth', '<=', depth)
    .orderBy('depth', 'desc')
    .orderBy('position', 'desc')
    .limit(limit)
    .execute()
}

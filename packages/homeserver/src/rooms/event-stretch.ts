import { passesFilter, type RoomEventFilter } from '../matrix/room-event-filter.ts'
import { eventPage, relatedEvents } from '../storage/event-pages.ts'
import type { Db } from '../storage/store.ts'
import { BEGINNING, comparePlaces, type Place, placeAfter, placeBefore } from './pagination-token.ts'
import type { RoomParts } from './ports.ts'
import type { RoomAccess } from './room-access.ts'
import { type SeenEvent, seenEvents } from './visibility.ts'

/** Which way from a place, how far at most, and what of it. */
export type Stretch = {
  dir: 'f' | 'b'
  from: Place
  to?: Place | undefined
  /** Events that came to the stream after this position are left out. */
  newest?: number | undefined
  limit: number
  filter: RoomEventFilter
}

/** What was found: events in the order of the direction, and the place behind the last that was looked at. */
export type Found = { events: SeenEvent[]; end: Place; isAtEnd: boolean }

/** Events that are looked at for one request: a client goes on from there. */
const MOST_READ = 1_000
const LEAST_READ = 20

/**
 * Reads events of a room that a user may see and a filter lets through, from a place in one direction. What is not shown
 * does not count, but reading ends after 1,000 events, however few of them are.
 */
export async function readStretch(
  parts: Pick<RoomParts, 'events' | 'states' | 'versions' | 'serverName'>,
  db: Db,
  access: RoomAccess,
  { dir, from, to, newest, limit, filter }: Stretch,
): Promise<Found> {
  const [start, stop] = within(access, dir, from, to)
  const events: SeenEvent[] = []
  let end = start
  for (let read = 0; events.length < limit && read < MOST_READ; ) {
    const wanted = Math.min(Math.max(limit - events.length, LEAST_READ), MOST_READ - read)
    const rows = await eventPage(db, access.roomId, { dir, from: end, to: stop, newest, limit: wanted })
    read += rows.length
    const seen = await filtered(db, filter, await seenEvents(parts, db, access.viewer, rows))
    const room = limit - events.length
    events.push(...seen.slice(0, room))
    // Where not all of what was found is given out, it goes on behind the last that was.
    const last = seen.length > room ? seen[room - 1]!.row : rows.at(-1)
    if (last) end = dir === 'f' ? placeAfter(last as never) : placeBefore(last as never)
    if (rows.length < wanted && seen.length <= room) return { events, end, isAtEnd: true }
  }
  return { events, end, isAtEnd: false }
}

/** Nobody reads past the place where they left. */
function within({ until }: RoomAccess, dir: 'f' | 'b', from: Place, to: Place | undefined) {
  if (!until) return [from, to] as const
  const earlier = (place: Place) => (comparePlaces(place, until) < 0 ? place : until)
  return dir === 'b' ? ([earlier(from), to] as const) : ([from, to ? earlier(to) : until] as const)
}

async function filtered(db: Db, filter: RoomEventFilter, seen: SeenEvent[]): Promise<SeenEvent[]> {
  const passing = seen.filter(({ event }) => passesFilter(filter, event))
  const { related_by_rel_types: relTypes, related_by_senders: senders } = filter
  if (!relTypes && !senders) return passing
  const ids = passing.map(({ event }) => event.eventId)
  const related = await relatedEvents(db, ids, { relTypes, senders })
  return passing.filter(({ event }) => related.has(event.eventId))
}

/** Where reading begins if a client does not say it. */
export function startOf(dir: 'f' | 'b', room: { depth: number; lastPosition: number }): Place {
  return dir === 'f' ? BEGINNING : { depth: room.depth, position: room.lastPosition }
}

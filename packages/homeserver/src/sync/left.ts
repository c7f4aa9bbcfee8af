import type { RoomId, UserId } from '../matrix/ids.ts'
import { type EventRow, eventRows } from '../storage/events.ts'
import { type Departure, lastDepartures, stateChangesBetween } from '../storage/room-state.ts'
import { newestEvents, type Span } from '../storage/sync-rooms.ts'
import { includesRoom } from './filter.ts'
import type { Since } from './joined.ts'
import { type RoomView, type Scope, timelineLimit, type View, viewRooms } from './room-views.ts'
import type { OwnMembership, Standing } from './standing.ts'

/** Client-server API, "Syncing", "Left Room". */
export type LeftRoom = {
  state?: { events: object[] }
  state_after?: { events: object[] }
  timeline: RoomView['timeline']
  account_data: { events: object[] }
}

/** A room that a user has left, and what they may see of it: up to the last time that they were in it. */
type Left = OwnMembership & { departure: Departure | undefined }

/**
 * What there is of rooms that a user has left, was thrown out of, or did not come to. Client-server API, "Syncing",
 * `rooms.leave`.
 * @param departures when the user was last in those rooms
 */
export async function leftRooms(
  scope: Scope,
  left: readonly OwnMembership[],
  departures: ReadonlyMap<RoomId, Departure>,
  { after, fullState }: Since,
): Promise<Record<RoomId, LeftRoom>> {
  if (left.length === 0) return {}
  const { db, filter, stateAfter } = scope
  const rooms = left.map((own): Left => ({ ...own, departure: departures.get(own.roomId) }))
  const limit = timelineLimit(filter) + 1
  const isWhole = (one: Left) => fullState || after === 0 || one.hasJoined
  const spans = rooms.flatMap((one): Span[] => {
    if (!one.departure || !(isWhole(one) || one.wasJoined)) return []
    return [{ roomId: one.roomId, after: isWhole(one) ? 0 : after, upTo: one.position, limit }]
  })
  const rows = await newestEvents(db, spans)
  const events = await ownEvents(scope, rooms)
  const whole = rooms.filter(isWhole)
  const partial = rooms.filter((one) => one.wasJoined && !isWhole(one))
  const changes = await stateChangesBetween(
    db,
    partial.map(({ roomId }) => roomId),
    after,
    scope.upTo,
  )
  const views = rooms.map((one): View => {
    const { roomId, position, eventId, departure } = one
    const own = eventId === null ? undefined : events.get(eventId)
    const end = departure?.event_id ? events.get(departure.event_id)?.state_after : undefined
    const upToHere = changes.filter((change) => change.room_id === roomId && change.position <= position)
    const state = whole.includes(one) && end ? { group: end } : { changes: one.wasJoined ? upToHere : [] }
    const begins = whole.includes(one) ? 'first' : undefined
    return { roomId, after: begins ? 0 : after, rows: rows.get(roomId) ?? [], begins, state, own }
  })
  const shown = await viewRooms(scope, views)
  const result: Record<RoomId, LeftRoom> = {}
  for (const [roomId, { timeline, state }] of shown) {
    result[roomId] = { ...(stateAfter ? { state_after: state } : { state }), timeline, account_data: { events: [] } }
  }
  return result
}

async function ownEvents({ db }: Scope, left: readonly Left[]): Promise<Map<string, EventRow>> {
  const ids = left.flatMap(({ eventId, departure }) => [eventId ?? [], departure?.event_id ?? []].flat())
  return new Map((await eventRows(db, [...new Set(ids)])).map((row) => [row.event_id, row]))
}

/** Those of a user's rooms that belong among the left ones: what is new, or all that the filter asks for. */
export function leftAmong(
  { filter }: Pick<Scope, 'filter'>,
  { others }: Standing,
  { after, fullState }: Since,
): OwnMembership[] {
  const all = after === 0 || fullState
  return others.filter(({ roomId, membership, forgotten, wasJoined, position }) => {
    if (membership !== 'leave' && membership !== 'ban') return false
    if (!includesRoom(filter.room, roomId)) return false
    const isNews = after > 0 && position > after
    // Whoever forgets a room right after leaving it has to hear that they left.
    if (forgotten) return isNews && wasJoined
    return isNews || (all && filter.room?.include_leave === true)
  })
}

/** @returns when the user was last in each of these rooms */
export async function departuresFrom(
  { db }: Pick<Scope, 'db'>,
  userId: UserId,
  left: readonly OwnMembership[],
): Promise<Map<RoomId, Departure>> {
  const roomIds = left.map(({ roomId }) => roomId)
  return new Map((await lastDepartures(db, userId, roomIds)).map((one) => [one.room_id, one]))
}

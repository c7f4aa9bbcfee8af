import type { Pdu } from '../matrix/events.ts'
import { isObject } from '../matrix/json.ts'
import { matchesGlob, passesFilter, type RoomEventFilter } from '../matrix/room-event-filter.ts'
import type { EventRow } from '../storage/events.ts'

/** The part of a filter that chooses events by type and sender. Client-server API, "Filtering", `EventFilter`. */
export type EventFilter = Pick<RoomEventFilter, 'types' | 'not_types' | 'senders' | 'not_senders' | 'limit'>

/** Client-server API, "Filtering", `RoomFilter`. */
export type RoomFilter = {
  rooms?: readonly string[]
  not_rooms?: readonly string[]
  include_leave?: boolean
  timeline?: RoomEventFilter & { unread_thread_notifications?: boolean }
  state?: RoomEventFilter
  ephemeral?: RoomEventFilter
  account_data?: RoomEventFilter
}

/** Client-server API, "Filtering", `Filter`. */
export type SyncFilter = {
  event_fields?: readonly string[]
  event_format?: 'client' | 'federation'
  presence?: EventFilter
  account_data?: EventFilter
  room?: RoomFilter
}

/** The filter in a parsed definition, whose shape was checked where it came in; without one, nothing is filtered. */
export function syncFilter(definition: unknown): SyncFilter {
  return isObject(definition) ? (definition as SyncFilter) : {}
}

/** Whether a filter is about a room at all. */
export function includesRoom(filter: Pick<RoomFilter, 'rooms' | 'not_rooms'> | undefined, roomId: string): boolean {
  return filter?.not_rooms?.includes(roomId) !== true && filter?.rooms?.includes(roomId) !== false
}

/** Whether a filter lets events of a type through: what can be said before the events are read. */
export function includesType(filter: RoomEventFilter, type: string): boolean {
  const { types, not_types: notTypes } = filter
  const matches = (pattern: string) => matchesGlob(pattern, type)
  return notTypes?.some(matches) !== true && types?.some(matches) !== false
}

/** Whether a filter lets an event through that is read from the database. */
export function passesRow(filter: RoomEventFilter, row: EventRow): boolean {
  const { type, sender, room_id: roomId } = row
  const content = filter.contains_url === undefined ? {} : (JSON.parse(row.pdu) as Pdu).content
  return passesFilter(filter, { type, sender, roomId, content })
}

type Filtered = { type: string; sender?: string | undefined; content?: unknown }

/**
 * The events that a filter lets through, at most its `limit` of them. `*` in a type stands for any characters; what is
 * excluded is so even where it is asked for. What has no sender is not chosen by sender.
 */
export function filterEvents<T extends Filtered>(events: T[], filter: EventFilter | undefined, roomId = ''): T[] {
  if (!filter) return events
  const { senders, not_senders: notSenders, ...rest } = filter as RoomEventFilter
  const passing = events.filter(({ type, sender, content }) =>
    passesFilter(sender === undefined ? rest : ({ ...rest, senders, not_senders: notSenders } as RoomEventFilter), {
      type,
      sender: sender ?? '',
      roomId,
      content,
    }),
  )
  return filter.limit === undefined ? passing : passing.slice(0, filter.limit)
}

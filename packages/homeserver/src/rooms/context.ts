import { MatrixError, notFound } from '../matrix/errors.ts'
import type { EventId, RoomId } from '../matrix/ids.ts'
import { passesFilter, type RoomEventFilter } from '../matrix/room-event-filter.ts'
import { eventRow, eventRows } from '../storage/events.ts'
import type { Db } from '../storage/store.ts'
import type { ClientEvent } from './client-event.ts'
import { clientEvents, clientState } from './client-events.ts'
import { readStretch } from './event-stretch.ts'
import { senderMemberships } from './lazy-members.ts'
import { formatPlace, placeAfter, placeBefore } from './pagination-token.ts'
import type { RoomParts } from './ports.ts'
import { accessRoom, type RoomAccess } from './room-access.ts'
import type { Viewer } from './viewers.ts'
import { type SeenEvent, seenEvents } from './visibility.ts'

type Requester = Pick<Viewer, 'userId' | 'deviceId'>

export type ContextResponse = {
  start: string
  end: string
  event: ClientEvent
  events_before: ClientEvent[]
  events_after: ClientEvent[]
  state: ClientEvent[]
}

/** An event with access to its room. @throws `M_NOT_FOUND`, also where the user may not read the room or the event */
export async function seenEvent(
  parts: RoomParts,
  db: Db,
  requester: Requester,
  roomId: RoomId,
  eventId: EventId,
): Promise<{ access: RoomAccess; seen: SeenEvent }> {
  const access = await accessRoom(parts, db, requester, roomId, { forEvents: true }).catch(unlessRefused)
  if (!access) throw noSuchEvent()
  return { access, seen: await seenIn(parts, db, access, eventId) }
}

async function seenIn(parts: RoomParts, db: Db, { roomId, viewer }: RoomAccess, eventId: EventId): Promise<SeenEvent> {
  const row = await eventRow(db, eventId)
  if (row?.room_id !== roomId) throw noSuchEvent()
  const [seen] = await seenEvents(parts, db, { ...viewer, ignored: new Set() }, [row])
  if (!seen) throw noSuchEvent()
  return seen
}

function unlessRefused(error: unknown): undefined {
  if (!(error instanceof MatrixError)) throw error
}

const noSuchEvent = () => notFound('There is no such event, or you may not see it')

/** `GET /rooms/{roomId}/event/{eventId}`. @throws `M_NOT_FOUND` */
export async function oneEvent(
  parts: RoomParts,
  requester: Requester,
  roomId: RoomId,
  eventId: EventId,
): Promise<ClientEvent> {
  const { db } = parts.store
  const { access, seen } = await seenEvent(parts, db, requester, roomId, eventId)
  const [event] = await clientEvents(parts, db, access.viewer, [seen], { withRoomId: true, bundled: true })
  return event!
}

/**
 * `GET /rooms/{roomId}/context/{eventId}`: an event, and what comes right before and after it.
 * @throws `M_FORBIDDEN` if the room is none that the user may read, `M_NOT_FOUND` if the event is not
 */
export async function eventContext(
  parts: RoomParts,
  requester: Requester,
  roomId: RoomId,
  eventId: EventId,
  { limit, filter }: { limit: number; filter: RoomEventFilter },
): Promise<ContextResponse> {
  const { db } = parts.store
  const access = await accessRoom(parts, db, requester, roomId, { forEvents: true })
  const seen = await seenIn(parts, db, access, eventId)
  const place = seen.row as { depth: number; position: number }
  const beforeLimit = Math.floor(limit / 2)
  const before = await readStretch(parts, db, access, {
    dir: 'b',
    from: placeBefore(place),
    limit: beforeLimit,
    filter,
  })
  const after = await readStretch(parts, db, access, {
    dir: 'f',
    from: placeAfter(place),
    limit: limit - beforeLimit,
    filter,
  })
  const around = [...before.events.toReversed(), seen, ...after.events]
  const client = await clientEvents(parts, db, access.viewer, around, { withRoomId: true, bundled: true })
  const at = before.events.length
  return {
    start: formatPlace(before.end),
    end: formatPlace(after.end),
    event: client[at]!,
    events_before: client.slice(0, at).reverse(),
    events_after: client.slice(at + 1),
    state: await stateAround(parts, db, access, around, filter),
  }
}

/** The state at the last event; with lazy loading, of members only those who sent one of the events. */
async function stateAround(
  parts: RoomParts,
  db: Db,
  { viewer }: RoomAccess,
  around: readonly SeenEvent[],
  filter: RoomEventFilter,
): Promise<ClientEvent[]> {
  const group = around.at(-1)!.row.state_after
  const state = group === null ? new Map<string, EventId>() : (await parts.states.load(db, group)).map
  const isMember = (entry: string) => entry.startsWith('m.room.member\0')
  const wanted = [...state].filter(([entry]) => !(filter.lazy_load_members && isMember(entry)))
  const rows = await eventRows(
    db,
    wanted.map(([, eventId]) => eventId),
  )
  if (filter.lazy_load_members) rows.push(...(await senderMemberships(parts, db, around)))
  const passing = rows.filter((row) =>
    passesFilter(filter, {
      type: row.type,
      sender: row.sender,
      roomId: row.room_id,
      content: JSON.parse(row.pdu).content,
    }),
  )
  return clientState(parts, db, viewer, passing, { withRoomId: true })
}

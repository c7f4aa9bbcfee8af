import type { EventId, RoomId } from '../matrix/ids.ts'
import { redactEvent } from '../state/redaction.ts'
import { childrenPage, threadsPage } from '../storage/event-children.ts'
import { eventRows } from '../storage/events.ts'
import type { ClientEvent } from './client-event.ts'
import { clientEvents } from './client-events.ts'
import { seenEvent } from './context.ts'
import { placeOf } from './messages.ts'
import { comparePlaces, formatPlace, type Place, placeAfter, placeBefore } from './pagination-token.ts'
import type { RoomParts } from './ports.ts'
import { accessRoom } from './room-access.ts'
import type { Viewer } from './viewers.ts'
import { seenEvents } from './visibility.ts'

type Requester = Pick<Viewer, 'userId' | 'deviceId'>

export type RelationsQuery = {
  relType: string | undefined
  eventType: string | undefined
  from: string | undefined
  to: string | undefined
  limit: number
  dir: 'f' | 'b'
  /** `undefined` if the client did not say. */
  recurse: boolean | undefined
}

export type RelationsResponse = {
  chunk: ClientEvent[]
  next_batch?: string
  prev_batch?: string
  recursion_depth?: number
}

export type ThreadsQuery = { participated: boolean; from: string | undefined; limit: number }

/** Relations followed from one event to the next. */
const MAX_LEVELS = 3

/**
 * `GET /rooms/{roomId}/relations/{eventId}`: what relates to an event, directly or, if asked for, over up to two others.
 * @throws `M_NOT_FOUND` for an event that the user may not see, `M_INVALID_PARAM` for tokens that are none
 */
export async function relations(
  parts: RoomParts,
  requester: Requester,
  roomId: RoomId,
  eventId: EventId,
  { from, to, limit, dir, recurse, ...choice }: RelationsQuery,
): Promise<RelationsResponse> {
  const { db } = parts.store
  const { access } = await seenEvent(parts, db, requester, roomId, eventId)
  const levels = recurse ? MAX_LEVELS : 1
  const rows = await childrenPage(db, roomId, eventId, {
    ...choice,
    levels,
    dir,
    from: from === undefined ? undefined : await placeOf(db, roomId, from, 'from'),
    to: to === undefined ? undefined : await placeOf(db, roomId, to, 'to'),
    limit: limit + 1,
  })
  const shown = rows.slice(0, limit)
  const seen = await seenEvents(parts, db, access.viewer, shown)
  const last = shown.at(-1)
  return {
    chunk: await clientEvents(parts, db, access.viewer, seen, { withRoomId: true, bundled: true }),
    ...(rows.length > limit && last && { next_batch: formatPlace((dir === 'f' ? placeAfter : placeBefore)(last)) }),
    ...(from !== undefined && { prev_batch: from }),
    ...(recurse !== undefined && { recursion_depth: levels }),
  }
}

/**
 * `GET /rooms/{roomId}/threads`: the roots of a room's threads, the one that something was said in last first.
 * @throws `M_FORBIDDEN`, `M_INVALID_PARAM` for a token that is none
 */
export async function threads(
  parts: RoomParts,
  requester: Requester,
  roomId: RoomId,
  { participated, from, limit }: ThreadsQuery,
): Promise<{ chunk: ClientEvent[]; next_batch?: string }> {
  const { db } = parts.store
  const { viewer, until } = await accessRoom(parts, db, requester, roomId, { forEvents: true })
  const asked = from === undefined ? undefined : await placeOf(db, roomId, from, 'from')
  const rows = await threadsPage(db, roomId, {
    userId: viewer.userId,
    participated,
    ignored: [...viewer.ignored],
    from: earlierOf(asked, until),
    limit: limit + 1,
  })
  const shown = rows.slice(0, limit)
  const ids = shown.map(({ root }) => root)
  const roots = new Map((await eventRows(db, ids)).map((row) => [row.event_id, row]))
  const inOrder = ids.flatMap((id) => roots.get(id) ?? [])
  const seen = await seenEvents(parts, db, { ...viewer, ignored: new Set() }, inOrder)
  // Whoever is ignored is not read, and what others said below is.
  const readable = seen.map((one) =>
    viewer.ignored.has(one.event.sender) ? { ...one, event: redactEvent(one.event, one.version) } : one,
  )
  const last = shown.at(-1)
  return {
    chunk: await clientEvents(parts, db, viewer, readable, { withRoomId: true, bundled: true }),
    ...(rows.length > limit && last && { next_batch: formatPlace(placeBefore(last)) }),
  }
}

function earlierOf(a: Place | undefined, b: Place | undefined): Place | undefined {
  if (!a || !b) return a ?? b
  return comparePlaces(a, b) < 0 ? a : b
}

import { invalidParam } from '../matrix/errors.ts'
import type { RoomId } from '../matrix/ids.ts'
import type { RoomEventFilter } from '../matrix/room-event-filter.ts'
import { hasGap, placeAtPosition } from '../storage/event-pages.ts'
import { roomRow } from '../storage/rooms.ts'
import type { Db } from '../storage/store.ts'
import type { ClientEvent } from './client-event.ts'
import { clientEvents, clientState } from './client-events.ts'
import { type Found, readStretch, type Stretch, startOf } from './event-stretch.ts'
import { senderMemberships } from './lazy-members.ts'
import { BEGINNING, comparePlaces, formatPlace, type Place, parsePaginationToken } from './pagination-token.ts'
import type { RoomParts } from './ports.ts'
import { accessRoom, type RoomAccess } from './room-access.ts'
import type { Viewer } from './viewers.ts'

/** Fetches older events of a room from other servers. @returns whether there are any that were not here before */
export type Backfill = (roomId: RoomId, limit: number) => Promise<boolean>

export type MessagesQuery = {
  dir: 'f' | 'b'
  from?: string | undefined
  to?: string | undefined
  limit: number
  filter: RoomEventFilter
}

export type MessagesResponse = { start: string; end?: string; chunk: ClientEvent[]; state?: ClientEvent[] }

/**
 * `GET /rooms/{roomId}/messages`. Where our history has a gap, other servers are asked for what is missing.
 * @throws `M_FORBIDDEN` if the room is none that the user may read, `M_INVALID_PARAM` for tokens that are none
 */
export async function messages(
  parts: RoomParts,
  backfill: Backfill,
  requester: Pick<Viewer, 'userId' | 'deviceId'>,
  roomId: RoomId,
  query: MessagesQuery,
): Promise<MessagesResponse> {
  const { db } = parts.store
  const access = await accessRoom(parts, db, requester, roomId, { forEvents: true })
  const { dir, limit, filter } = query
  const { from, newest } =
    query.from === undefined ? { from: await startIn(db, access, dir) } : await startAt(db, roomId, query.from, dir)
  const to = query.to === undefined ? undefined : await placeOf(db, roomId, query.to, 'to')
  const found = await readWithHistory(parts, backfill, access, { dir, from, to, newest, limit, filter })
  const form = { withRoomId: true }
  const chunk = await clientEvents(parts, db, access.viewer, found.events, { ...form, bundled: true })
  const members = filter.lazy_load_members ? await senderMemberships(parts, db, found.events) : undefined
  return {
    start: query.from ?? formatPlace(from),
    ...(found.isAtEnd ? {} : { end: formatPlace(found.end, newest) }),
    chunk,
    ...(members && { state: await clientState(parts, db, access.viewer, members, form) }),
  }
}

async function startIn(db: Db, { roomId, until }: RoomAccess, dir: 'f' | 'b'): Promise<Place> {
  if (dir === 'b' && until) return until
  return startOf(dir, (await roomRow(db, roomId))!)
}

/**
 * Where a client's token has `/messages` begin. Backwards from a timeline, or from a position of the stream, there is all
 * that came before in the stream, also where it lies deeper in the room than the first event of that timeline: in two
 * servers' histories that went on side by side.
 */
async function startAt(
  db: Db,
  roomId: RoomId,
  token: string,
  dir: 'f' | 'b',
): Promise<{ from: Place; newest?: number | undefined }> {
  const from = await placeOf(db, roomId, token, 'from')
  const pointer = parsePaginationToken(token)!
  if (dir === 'f') return { from }
  if (!('depth' in pointer)) return { from, newest: pointer.streamPosition }
  const { newest, isTimeline } = pointer
  const deepest = isTimeline ? await placeAtPosition(db, roomId, newest!) : undefined
  return { from: deepest && comparePlaces(from, deepest) < 0 ? deepest : from, newest }
}

/** The place that a client's token stands for. @throws `M_INVALID_PARAM` */
export async function placeOf(db: Db, roomId: RoomId, token: string, name: string): Promise<Place> {
  const pointer = parsePaginationToken(token)
  if (!pointer) throw invalidParam(`${name} is not a token of this server`)
  if ('depth' in pointer) return { depth: pointer.depth, position: pointer.position }
  return (await placeAtPosition(db, roomId, pointer.streamPosition)) ?? BEGINNING
}

/** Reads, and once more where others could fill a gap in what was read. */
async function readWithHistory(
  parts: RoomParts,
  backfill: Backfill,
  access: RoomAccess,
  stretch: Stretch,
): Promise<Found> {
  const { db } = parts.store
  const { roomId } = access
  const first = await readStretch(parts, db, access, stretch)
  if (stretch.dir === 'f' || stretch.limit === 0) return first
  const range = { lowest: first.isAtEnd ? 0 : first.end.depth, highest: stretch.from.depth }
  if (!(await hasGap(db, roomId, range))) return first
  const isFilled = await backfill(roomId, stretch.limit)
  const found = isFilled ? await readStretch(parts, db, access, stretch) : first
  // What is missing may be had later, unless the client has come to the edge of it already, and nothing came.
  const goesOn = found.isAtEnd && (isFilled || found.events.length > 0)
  return goesOn && (await hasGap(db, roomId, { ...range, lowest: 0 })) ? { ...found, isAtEnd: false } : found
}

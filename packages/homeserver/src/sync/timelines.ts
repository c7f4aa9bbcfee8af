import type { RoomId, UserId } from '../matrix/ids.ts'
import { passesFilter, type RoomEventFilter } from '../matrix/room-event-filter.ts'
import { gapsFrom } from '../storage/event-pages.ts'
import type { EventRow } from '../storage/events.ts'
import { currentStateIds } from '../storage/room-state.ts'
import type { Db } from '../storage/store.ts'
import { memberEvents, newestEvents } from '../storage/sync-rooms.ts'
import { includesRoom } from './filter.ts'
import type { SeenEvent, SyncRooms, Viewer } from './ports.ts'

/** The timeline of one room: what is shown, oldest first, and whether there is more before it. */
export type Timeline = { shown: SeenEvent[]; limited: boolean }

/** Where a timeline is looked for: events after one position and up to another; the newest are at hand. */
export type Stretch = {
  roomId: RoomId
  after: number
  /** One more than are to be shown, if there are so many. Oldest first. */
  rows: readonly EventRow[]
  /**
   * Where a client has nothing of the room (`first`), what came before our server was there is missing to it, too. Where the
   * user has come back, the client may have an older part of the timeline (`again`): it has to know of the gap.
   */
  begins?: 'first' | 'again' | undefined
}

/** What is read further, where the filter (or the room's history visibility) leaves too little: at once, and in all. */
const FURTHER = 100
const MOST_FURTHER = 20_000
const MOST_ROUNDS = 10

type Looking = {
  stretch: Stretch
  kept: SeenEvent[]
  oldest: EventRow | undefined
  exhausted: boolean
  /** Whether something is missing before the first event that is kept. */
  isBehindGap?: boolean
}

/**
 * What a viewer is shown of rooms' timelines: of the events that they may see and the filter lets through, the newest
 * `limit`. Client-server API, "Syncing".
 */
export async function timelines(
  rooms: SyncRooms,
  db: Db,
  viewer: Viewer,
  stretches: readonly Stretch[],
  filter: RoomEventFilter,
  limit: number,
): Promise<Map<RoomId, Timeline>> {
  const looking = new Map<RoomId, Looking>()
  for (const stretch of stretches) {
    const { rows } = stretch
    const exhausted = rows.length <= limit || !includesRoom(filter, stretch.roomId)
    looking.set(stretch.roomId, { stretch, kept: [], oldest: rows[0], exhausted })
  }
  await keepVisible(
    rooms,
    db,
    viewer,
    looking,
    stretches.flatMap(({ rows }) => rows),
    filter,
  )
  await lookFurther(rooms, db, viewer, looking, filter, limit)
  await beginAtGaps(db, [...looking.values()])
  return new Map([...looking].map(([roomId, found]) => [roomId, timelineOf(found, limit)]))
}

async function keepVisible(
  rooms: SyncRooms,
  db: Db,
  viewer: Viewer,
  looking: ReadonlyMap<RoomId, Looking>,
  rows: readonly EventRow[],
  filter: RoomEventFilter,
): Promise<void> {
  // What the row says is enough for most of a filter; the rest needs the event.
  const { contains_url: _, ...byRow } = filter
  const candidates = rows.filter(({ type, sender, room_id: roomId }) =>
    passesFilter(byRow, { type, sender, roomId, content: {} }),
  )
  if (candidates.length === 0) return
  const visible = await rooms.seen(db, viewer, candidates)
  const known = await stateNow(rooms, db, viewer, candidates, visible)
  const all = known.length === 0 ? visible : [...visible, ...known].sort((a, b) => a.row.position! - b.row.position!)
  const seen = all.filter(({ event }) => passesFilter(filter, event))
  for (const [roomId, own] of Map.groupBy(seen, ({ row }) => row.room_id)) {
    const found = looking.get(roomId)!
    found.kept = [...own, ...found.kept]
  }
}

/**
 * Of the events that history visibility hides: those that are the state now of rooms that the viewer is in. They are told
 * of them in any case; without them, the timeline would not say when somebody came.
 */
async function stateNow(
  rooms: SyncRooms,
  db: Db,
  viewer: Viewer,
  candidates: readonly EventRow[],
  visible: readonly SeenEvent[],
): Promise<SeenEvent[]> {
  if (visible.length === candidates.length) return []
  const seen = new Set(visible.map(({ row }) => row.event_id))
  const isIn = (roomId: RoomId) => viewer.joinedUntil.get(roomId) === Number.POSITIVE_INFINITY
  const hidden = candidates.filter((row) => row.state_key !== null && !seen.has(row.event_id) && isIn(row.room_id))
  if (hidden.length === 0) return []
  const roomIds = [...new Set(hidden.map((row) => row.room_id))]
  const [members, others] = [hidden.filter(isMember), hidden.filter((row) => !isMember(row))]
  const userIds = [...new Set(members.map((row) => row.state_key as UserId))]
  const now = new Set<string>()
  for (const { event_id: eventId } of await memberEvents(db, roomIds, userIds)) now.add(eventId)
  const types = [...new Set(others.map((row) => row.type))]
  if (types.length > 0) {
    for (const { event_id: eventId } of await currentStateIds(db, roomIds, types)) now.add(eventId)
  }
  return rooms.asSeen(
    db,
    hidden.filter((row) => now.has(row.event_id)),
  )
}

const isMember = (row: EventRow) => row.type === 'm.room.member'

async function lookFurther(
  rooms: SyncRooms,
  db: Db,
  viewer: Viewer,
  looking: ReadonlyMap<RoomId, Looking>,
  filter: RoomEventFilter,
  limit: number,
): Promise<void> {
  let read = 0
  for (let round = 0; round < MOST_ROUNDS && read < MOST_FURTHER; round++) {
    const wanting = [...looking.values()].filter(({ kept, exhausted }) => !exhausted && kept.length <= limit)
    if (wanting.length === 0) return
    const spans = wanting.map(({ stretch: { roomId, after }, oldest }) => {
      return { roomId, after, upTo: oldest!.position! - 1, limit: FURTHER }
    })
    const more = await newestEvents(db, spans)
    for (const found of wanting) {
      const rows = more.get(found.stretch.roomId) ?? []
      found.exhausted = rows.length < FURTHER
      found.oldest = rows[0] ?? found.oldest
      read += rows.length
    }
    await keepVisible(rooms, db, viewer, looking, [...more.values()].flat(), filter)
  }
}

/**
 * A timeline has no hole: it begins with the last event that follows one which is missing here. Whoever reads back from there has
 * it fetched.
 */
async function beginAtGaps(db: Db, all: readonly Looking[]): Promise<void> {
  const kept = all.flatMap((one) => one.kept)
  if (kept.length === 0) return
  const lowest = kept.reduce((least, { row }) => Math.min(least, row.depth), Number.MAX_SAFE_INTEGER)
  const roomIds = [...new Set(kept.map(({ row }) => row.room_id))]
  const missing = new Set((await gapsFrom(db, roomIds, lowest)).map((gap) => gap.event_id))
  if (missing.size === 0) return
  for (const one of all) {
    const first = one.kept.findLastIndex(({ event }) => event.prevEvents.some((id) => missing.has(id)))
    if (first < 0) continue
    one.kept = one.kept.slice(first)
    one.isBehindGap = true
  }
}

function timelineOf({ stretch, kept, oldest, exhausted, isBehindGap }: Looking, limit: number): Timeline {
  const shown = kept.slice(Math.max(0, kept.length - limit))
  if (kept.length > limit || !exhausted || isBehindGap) return { shown, limited: true }
  if (stretch.begins === undefined) return { shown, limited: false }
  const first = stretch.begins === 'again' ? shown[0]?.row : oldest
  return { shown, limited: first !== undefined && first.type !== CREATE }
}

const CREATE = 'm.room.create'

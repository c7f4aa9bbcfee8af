import { invalidParam } from '../matrix/errors.ts'
import type { EventId, RoomId } from '../matrix/ids.ts'
import { passesFilter, type RoomEventFilter } from '../matrix/room-event-filter.ts'
import { newestTextId, searchTexts, type TextHit } from '../storage/event-texts.ts'
import { eventRows } from '../storage/events.ts'
import type { Db } from '../storage/store.ts'
import type { ClientEvent } from './client-event.ts'
import { clientEvents } from './client-events.ts'
import type { RoomParts } from './ports.ts'
import { roomState } from './room-states.ts'
import { type ContextSize, type ResultContext, resultContext } from './search-context.ts'
import { type SearchedPlace, wordsOf } from './searchable-text.ts'
import { type Viewer, viewerOf } from './viewers.ts'
import { type SeenEvent, seenEvents } from './visibility.ts'

type Requester = Pick<Viewer, 'userId' | 'deviceId'>

export type SearchQuery = {
  term: string
  places: readonly SearchedPlace[]
  filter: RoomEventFilter
  order: 'rank' | 'recent'
  limit: number
  context: ContextSize | undefined
  includeState: boolean
  groupBy: readonly ('room_id' | 'sender')[]
  /** From an answer before. */
  nextBatch: string | undefined
}

type SearchResult = { rank: number; result: ClientEvent; context?: ResultContext }
type Groups = Record<string, Record<string, { order: number; results: string[] }>>

export type SearchResponse = {
  count: number
  highlights: string[]
  results: SearchResult[]
  state?: Record<string, ClientEvent[]>
  groups?: Groups
  next_batch?: string
}

/** Hits that are looked at for one page: a client goes on from there. */
const MOST_HITS = 500
const HITS_AT_ONCE = 50
const TOKEN = /^n([0-9]{1,9})_([0-9]{1,15})$/

/**
 * `POST /search`, "room_events": events of the rooms that the user is or was in, as far as they may see them, in which all
 * words of the term occur. Encrypted rooms are left out. Client-server API, "Server Side Search".
 * @throws `M_INVALID_PARAM` for a token that is none
 */
export async function search(parts: RoomParts, requester: Requester, query: SearchQuery): Promise<SearchResponse> {
  const { db } = parts.store
  const highlights = wordsOf(query.term).slice(0, 50)
  const at = query.nextBatch === undefined ? { offset: 0, newestId: await newestTextId(db) } : parse(query.nextBatch)
  if (highlights.length === 0) return { count: 0, highlights, results: [] }
  const page = await findPage(parts, db, requester, query, highlights, at)
  const shown = page.found.map(({ seen }) => seen)
  const viewer = await viewerOf(db, requester, roomsOf(shown))
  const events = await clientEvents(parts, db, viewer, shown, { withRoomId: true, bundled: true })
  const results: SearchResult[] = []
  for (const [index, { seen, rank }] of page.found.entries()) {
    const context = query.context && (await resultContext(parts, db, requester, seen, query.context))
    results.push({ rank, result: events[index]!, ...(context && { context }) })
  }
  return {
    count: page.count,
    highlights,
    results,
    ...(query.includeState && { state: await statesOf(parts, requester, shown) }),
    ...(query.groupBy.length > 0 && { groups: groupsOf(query.groupBy, shown) }),
    ...(page.next !== undefined && { next_batch: `n${page.next}_${at.newestId}` }),
  }
}

function parse(token: string): { offset: number; newestId: number } {
  const match = TOKEN.exec(token)
  if (!match) throw invalidParam('next_batch is not a token of this server')
  return { offset: Number(match[1]), newestId: Number(match[2]) }
}

type Hit = { seen: SeenEvent; rank: number }

async function findPage(
  parts: RoomParts,
  db: Db,
  requester: Requester,
  { places, filter, order, limit }: SearchQuery,
  words: readonly string[],
  { offset, newestId }: { offset: number; newestId: number },
): Promise<{ found: Hit[]; count: number; next: number | undefined }> {
  const found: Hit[] = []
  const roomIds = filter.rooms?.slice(0, MOST_HITS)
  if (roomIds?.length === 0) return { found, count: 0, next: undefined }
  const asked = { words, places, userId: requester.userId, roomIds, order, newestId, limit: HITS_AT_ONCE }
  for (let read = 0; read < MOST_HITS; ) {
    const hits = await searchTexts(db, { ...asked, offset: offset + read })
    const visible = await visibleHits(parts, db, requester, hits, filter)
    for (const [index, hit] of hits.entries()) {
      if (found.length === limit) {
        // As far as was looked: what the user may not see does not count.
        const more = hits.slice(index).filter(({ eventId }) => visible.has(eventId)).length
        return { found, count: offset + found.length + more, next: offset + read }
      }
      read++
      const seen = visible.get(hit.eventId)
      if (seen) found.push({ seen, rank: hit.rank })
    }
    const count = offset + found.length
    if (hits.length < HITS_AT_ONCE) return { found, count, next: found.length === limit ? offset + read : undefined }
  }
  return { found, count: offset + found.length, next: offset + MOST_HITS }
}

async function visibleHits(
  parts: RoomParts,
  db: Db,
  requester: Requester,
  hits: readonly TextHit[],
  filter: RoomEventFilter,
): Promise<Map<EventId, SeenEvent>> {
  if (hits.length === 0) return new Map()
  const rows = await eventRows(
    db,
    hits.map((hit) => hit.eventId),
  )
  const viewer = await viewerOf(db, requester, [...new Set(rows.map((row) => row.room_id))])
  const seen = await seenEvents(parts, db, viewer, rows)
  const passing = seen.filter(({ event }) => passesFilter(filter, event))
  return new Map(passing.map((one) => [one.event.eventId, one]))
}

const roomsOf = (seen: readonly SeenEvent[]): RoomId[] => [...new Set(seen.map(({ event }) => event.roomId))]

async function statesOf(parts: RoomParts, requester: Requester, seen: readonly SeenEvent[]) {
  const states: Record<string, ClientEvent[]> = {}
  for (const roomId of roomsOf(seen)) states[roomId] = await roomState(parts, requester, roomId)
  return states
}

function groupsOf(keys: readonly ('room_id' | 'sender')[], seen: readonly SeenEvent[]): Groups {
  const groups: Groups = {}
  for (const key of keys) {
    const byValue = Map.groupBy(seen, ({ event }) => (key === 'room_id' ? event.roomId : event.sender))
    groups[key] = Object.fromEntries(
      [...byValue].map(([value, some], order) => [value, { order, results: some.map(({ event }) => event.eventId) }]),
    )
  }
  return groups
}

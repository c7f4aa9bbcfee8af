import type { RoomId } from '../matrix/ids.ts'
import { type BoundedCache, createBoundedCache } from '../platform/bounded-cache.ts'
import { relatedEvents } from '../storage/event-pages.ts'
import type { EventRow } from '../storage/events.ts'
import { type StateChange, stateChangesBetween } from '../storage/room-state.ts'
import type { Db } from '../storage/store.ts'
import { changedAmong, newestEvents, roomsChangedSince } from '../storage/sync-rooms.ts'

/** What happened in a room between two positions: its newest events, and all changes of its state. */
type Chunk = {
  rows: readonly EventRow[]
  changes: readonly StateChange[]
  /** Whether other events relate to any of these. */
  areRelatedTo: boolean
}

type Range = { after: number; upTo: number }

/** What happened in rooms, read once for everybody who waits for the same. */
export type Chunks = {
  /** Those of a user's rooms in which something happened. */
  changedRooms(db: Db, joined: ReadonlySet<RoomId>, range: Range): Promise<RoomId[]>
  read(db: Db, roomIds: readonly RoomId[], range: Range, limit: number): Promise<Map<RoomId, Chunk>>
}

/** Rooms of the whole server that are looked through before a user's own are. */
const MOST_CHANGED = 1_000
/** Answers that are kept, and the longest of them: what many wait for is new, and so it is short. */
const KEPT = 500
const LONGEST = 50

export function createChunks(): Chunks {
  // Events between two positions of the past stay what they are, but for redactions, and these move the present on: whoever asks after
  // one, made by whichever process, asks up to a later position.
  const changed = createBoundedCache<string, Promise<RoomId[]>>(KEPT)
  const chunks = createBoundedCache<string, Promise<Chunk>>(KEPT)

  function changedAnywhere(db: Db, { after, upTo }: Range): Promise<RoomId[]> {
    const key = `${after} ${upTo}`
    return changed.get(key) ?? keep(changed, key, roomsChangedSince(db, after, MOST_CHANGED + 1), (ids) => ids.length)
  }

  return {
    async changedRooms(db, joined, range) {
      const anywhere = await changedAnywhere(db, range)
      if (anywhere.length > MOST_CHANGED) return changedAmong(db, [...joined], range.after)
      return anywhere.filter((roomId) => joined.has(roomId))
    },

    async read(db, roomIds, range, limit) {
      const keyOf = (roomId: RoomId) => `${roomId} ${range.after} ${range.upTo} ${limit}`
      const known = new Map(roomIds.map((roomId) => [roomId, chunks.get(keyOf(roomId))]))
      const missing = roomIds.filter((roomId) => !known.get(roomId))
      if (missing.length > 0) {
        const reading = readChunks(db, missing, range, limit)
        const lengthOf = ({ rows, changes }: Chunk) => rows.length + changes.length
        for (const roomId of missing) {
          const own = reading.then((all) => all.get(roomId)!)
          known.set(roomId, keep(chunks, keyOf(roomId), own, lengthOf))
        }
      }
      return new Map(await Promise.all([...known].map(async ([roomId, chunk]) => [roomId, (await chunk)!] as const)))
    },
  }
}

/** Keeps an answer from the moment it is asked for, unless it turns out long, or an error. */
async function keep<T extends object>(
  cache: BoundedCache<string, Promise<T>>,
  key: string,
  answer: Promise<T>,
  lengthOf: (value: T) => number,
): Promise<T> {
  cache.set(key, answer)
  try {
    const value = await answer
    if (lengthOf(value) > LONGEST) cache.delete(key)
    return value
  } catch (error) {
    cache.delete(key)
    throw error
  }
}

async function readChunks(
  db: Db,
  roomIds: readonly RoomId[],
  { after, upTo }: Range,
  limit: number,
): Promise<Map<RoomId, Chunk>> {
  const rows = await newestEvents(
    db,
    roomIds.map((roomId) => ({ roomId, after, upTo, limit })),
  )
  const changes = Map.groupBy(await stateChangesBetween(db, roomIds, after, upTo), (change) => change.room_id)
  const eventIds = [...rows.values()].flatMap((own) => own.map((row) => row.event_id))
  const related = await relatedEvents(db, eventIds, { relTypes: undefined, senders: undefined })
  return new Map(
    roomIds.map((roomId) => {
      const own = rows.get(roomId) ?? []
      const areRelatedTo = own.some((row) => related.has(row.event_id))
      return [roomId, { rows: own, changes: changes.get(roomId) ?? [], areRelatedTo }]
    }),
  )
}

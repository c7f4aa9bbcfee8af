import type { EventId, RoomId } from '../matrix/ids.ts'
import type { RoomVersion } from '../state/room-versions.ts'
import { eventsUpToDepth } from '../storage/event-pages.ts'
import { type EventRow, eventRows } from '../storage/events.ts'
import type { Db } from '../storage/store.ts'
import { eventOf } from './events.ts'

type Room = { roomId: RoomId; version: RoomVersion }

/** Rounds of looking up events that do not lie among their neighbours. */
const MAX_ROUNDS = 100

/**
 * The events before some events, breadth first, so far as we have them in the graph. Rejected ones are passed through and
 * left out.
 * @param from where to begin; these are part of the result
 * @param options.stop events at which, without them, the walk ends
 */
export async function walkBack(
  db: Db,
  room: Room,
  from: readonly EventId[],
  { limit, stop = new Set(), minDepth = 0 }: { limit: number; stop?: ReadonlySet<EventId>; minDepth?: number },
): Promise<EventRow[]> {
  const at = new Map<EventId, EventRow>()
  const load = (rows: readonly EventRow[]) => {
    for (const row of rows) if (row.room_id === room.roomId && row.position !== null) at.set(row.event_id, row)
  }
  const found = new Map<EventId, EventRow>()
  const seen = new Set<EventId>()
  let frontier = from.filter((id) => !stop.has(id))
  for (let round = 0; round < MAX_ROUNDS && frontier.length > 0 && found.size < limit; round++) {
    load(await eventRows(db, frontier))
    const deepest = Math.max(0, ...frontier.map((id) => at.get(id)?.depth ?? 0))
    // Whatever lies before an event mostly lies next to it by depth: one statement reads the way ahead.
    load(await eventsUpToDepth(db, room.roomId, deepest, 2 * limit))
    const beyond = new Set<EventId>()
    const queue = [...frontier]
    for (const id of queue) {
      if (found.size >= limit) break
      if (seen.has(id) || stop.has(id)) continue
      const row = at.get(id)
      if (!row) {
        beyond.add(id)
        continue
      }
      seen.add(id)
      if (row.depth < minDepth) continue
      if (row.status !== 'rejected') found.set(id, row)
      queue.push(...eventOf(row, room.version).prevEvents)
    }
    // What was asked for by itself and not found is not here.
    frontier = [...beyond].filter((id) => !frontier.includes(id))
  }
  return [...found.values()]
}

import { stateEntry } from '../matrix/events.ts'
import type { EventId } from '../matrix/ids.ts'
import { type EventRow, eventRows } from '../storage/events.ts'
import type { Db } from '../storage/store.ts'
import type { RoomParts } from './ports.ts'
import type { SeenEvent } from './visibility.ts'

/**
 * The memberships of those who sent these events, as they were at the newest of them; of whoever had none then, at the
 * oldest. Client-server API, "Lazy-loading room members".
 * @param events in either order
 */
export async function senderMemberships(
  { states }: Pick<RoomParts, 'states'>,
  db: Db,
  events: readonly SeenEvent[],
): Promise<EventRow[]> {
  if (events.length === 0) return []
  const entries = [...new Set(events.map(({ event }) => stateEntry('m.room.member', event.sender)))]
  const [first, last] = [events[0]!.row, events.at(-1)!.row]
  const [oldest, newest] = first.depth < last.depth ? [first, last] : [last, first]
  const groups = [newest.state_after, oldest.state_after].filter((group) => group !== null)
  const picked = await states.pick(db, new Map(groups.map((group) => [group, entries])))
  const ids = new Set<EventId>()
  for (const entry of entries) {
    const eventId = groups.map((group) => picked.get(group)?.get(entry)).find((id) => id !== undefined)
    if (eventId !== undefined) ids.add(eventId)
  }
  return eventRows(db, [...ids])
}

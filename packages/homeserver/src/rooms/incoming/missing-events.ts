import type { RoomEvent } from '../../matrix/events.ts'
import type { EventId } from '../../matrix/ids.ts'
import { eventFacts } from '../../storage/events.ts'
import { roomRow } from '../../storage/rooms.ts'
import { askForMissingEvents, type Source } from '../ask-servers.ts'
import type { RoomParts } from '../ports.ts'

type Parts = Pick<RoomParts, 'remote' | 'clock' | 'store'>

/** Rounds of asking for what lies before an event, and events of one round. */
const MAX_ROUNDS = 3
const ROUND = 20
/** Of our newest events as many are named. */
const MAX_EARLIEST = 20

/**
 * Gets what lies between our newest events and one that has come, a few rounds back: each round asks for what the one
 * before it has shown to be missing.
 * @returns the events, each behind those of them that it follows
 */
export async function fetchMissingEvents(parts: Parts, from: Source, event: RoomEvent): Promise<RoomEvent[]> {
  const row = await roomRow(parts.store.db, from.roomId)
  const earliest = (row?.extremities ?? []).slice(0, MAX_EARLIEST).map(({ eventId }) => eventId)
  const got = new Map<EventId, RoomEvent>()
  let latest: RoomEvent[] = [event]
  for (let round = 0; round < MAX_ROUNDS && latest.length > 0; round++) {
    const ids = latest.map(({ eventId }) => eventId).slice(0, MAX_EARLIEST)
    const found = (await askForMissingEvents(parts, from, { earliest, latest: ids, limit: ROUND })) ?? []
    const fresh = found.filter(({ eventId }) => !got.has(eventId) && eventId !== event.eventId)
    for (const one of fresh) got.set(one.eventId, one)
    latest = await thoseWithGaps(parts, from, fresh, got)
  }
  const placed = await placedOf(parts, from, [...got.keys()])
  for (const id of placed) got.delete(id)
  return inOrder(got)
}

/** The events that follow one which is neither here nor among those got. */
async function thoseWithGaps(
  parts: Parts,
  from: Source,
  events: readonly RoomEvent[],
  got: ReadonlyMap<EventId, RoomEvent>,
): Promise<RoomEvent[]> {
  const placed = await placedOf(
    parts,
    from,
    events.flatMap((event) => event.prevEvents),
  )
  return events.filter((event) => event.prevEvents.some((id) => !placed.has(id) && !got.has(id)))
}

/** Those of the events that have a place in the graph of the room. */
export async function placedOf(
  { store }: Pick<RoomParts, 'store'>,
  { roomId }: Pick<Source, 'roomId'>,
  eventIds: readonly EventId[],
): Promise<Set<EventId>> {
  const facts = await eventFacts(store.db, eventIds)
  const placed = [...facts.values()].filter((fact) => fact.position !== null && fact.room_id === roomId)
  return new Set(placed.map((fact) => fact.event_id))
}

/** Each event behind those that it follows. What claims to be part of a cycle comes last, and is found to lack something. */
export function inOrder(events: ReadonlyMap<EventId, RoomEvent>): RoomEvent[] {
  const ordered: RoomEvent[] = []
  const seen = new Set<EventId>()
  for (const start of [...events.values()].sort((a, b) => a.depth - b.depth)) {
    // Without recursion: whoever made these may have made a long chain of them.
    const stack = [start]
    while (stack.length > 0) {
      const event = stack.at(-1)!
      const next = seen.has(event.eventId)
        ? undefined
        : event.prevEvents
            .map((id) => events.get(id))
            .find((one) => one && !seen.has(one.eventId) && !stack.includes(one))
      if (next) {
        stack.push(next)
        continue
      }
      stack.pop()
      if (!seen.has(event.eventId)) ordered.push(event)
      seen.add(event.eventId)
    }
  }
  return ordered
}

import type { RoomEvent } from '../../matrix/events.ts'
import type { EventId } from '../../matrix/ids.ts'
import type { EventMap } from './auth-graph.ts'

/**
 * The events, those first that rest on the oldest power levels. Room versions, "Mainline ordering".
 * @param levels the `m.room.power_levels` that the mainline leads to; `undefined` if there is none
 */
export function mainlineOrder(
  toSort: readonly RoomEvent[],
  levels: RoomEvent | undefined,
  events: EventMap,
): RoomEvent[] {
  const positions = mainlineFrom(levels, events)
  return toSort
    .map((event) => ({ event, position: positionOf(levelsBehind(event, events), positions, events) }))
    .sort((a, b) => {
      if (a.position !== b.position) return a.position > b.position ? -1 : 1
      return a.event.originServerTs - b.event.originServerTs || (a.event.eventId < b.event.eventId ? -1 : 1)
    })
    .map(({ event }) => event)
}

/** The mainline: the index of each of its events, 0 for the newest. */
function mainlineFrom(levels: RoomEvent | undefined, events: EventMap): Map<EventId, number> {
  const mainline = new Map<EventId, number>()
  for (let at = levels; at && !mainline.has(at.eventId); at = levelsBehind(at, events)) {
    mainline.set(at.eventId, mainline.size)
  }
  return mainline
}

/**
 * Where the chain of power levels meets the mainline; `Infinity` where it does not.
 * @param positions what is found is added, so that no chain is walked twice
 */
function positionOf(levels: RoomEvent | undefined, positions: Map<EventId, number>, events: EventMap): number {
  const path: EventId[] = []
  let at = levels
  while (at && !positions.has(at.eventId)) {
    path.push(at.eventId)
    positions.set(at.eventId, Infinity)
    at = levelsBehind(at, events)
  }
  const position = at ? positions.get(at.eventId)! : Infinity
  for (const eventId of path) positions.set(eventId, position)
  return position
}

/** The power levels among an event's auth events. */
function levelsBehind(event: RoomEvent, events: EventMap): RoomEvent | undefined {
  for (const eventId of event.authEvents) {
    const authEvent = events.get(eventId)
    if (authEvent?.type === 'm.room.power_levels' && authEvent.stateKey === '') return authEvent
  }
  return undefined
}

import type { RoomEvent } from '../../matrix/events.ts'
import type { EventId } from '../../matrix/ids.ts'
import { powerLevels } from '../power-levels.ts'
import type { RoomVersion } from '../room-versions.ts'
import { authChain, dependantsIn, type EventMap } from './auth-graph.ts'
import { authEventsView } from './auth-view.ts'
import { createHeap } from './heap.ts'

/** An event with its sender's level, as the event's own auth events have it. */
type Ranked = { event: RoomEvent; power: number }

/**
 * The events in an order in which each comes after its auth chain, and otherwise those of more powerful senders first.
 * Events outside of the chosen that lie between two of them order them too, without appearing. Room versions, "Reverse
 * topological power ordering".
 * @param chosen IDs of known events
 */
export function reverseTopologicalPowerOrder(
  chosen: ReadonlySet<EventId>,
  version: RoomVersion,
  events: EventMap,
): RoomEvent[] {
  const graph = new Set([...chosen, ...authChain(chosen, events)])
  const dependants = dependantsIn(graph, events)
  const waitsFor = new Map<EventId, number>()
  for (const waiting of dependants.values()) for (const id of waiting) waitsFor.set(id, (waitsFor.get(id) ?? 0) + 1)

  const between: EventId[] = []
  const candidates = createHeap<Ranked>(isBefore)
  const release = (eventId: EventId) => {
    if (chosen.has(eventId)) candidates.push(ranked(events.get(eventId)!, version, events))
    else between.push(eventId)
  }
  for (const eventId of graph) if (!waitsFor.has(eventId)) release(eventId)

  const order = new Set<EventId>()
  for (;;) {
    const next = between.pop() ?? candidates.pop()?.event.eventId
    if (next === undefined) break
    if (chosen.has(next)) order.add(next)
    for (const dependant of dependants.get(next) ?? []) {
      const left = waitsFor.get(dependant)! - 1
      waitsFor.set(dependant, left)
      if (left === 0) release(dependant)
    }
  }
  return [...[...order].map((eventId) => events.get(eventId)!), ...inCycles(chosen, order, events)]
}

/** In room versions 1 and 2 event IDs are made up, so that auth events can be made to go round; such come last. */
function inCycles(chosen: ReadonlySet<EventId>, ordered: ReadonlySet<EventId>, events: EventMap): RoomEvent[] {
  return [...chosen.difference(ordered)].sort().map((eventId) => events.get(eventId)!)
}

function ranked(event: RoomEvent, version: RoomVersion, events: EventMap): Ranked {
  return { event, power: powerLevels(version, authEventsView(event, version, events)).of(event.sender) }
}

function isBefore(a: Ranked, b: Ranked): boolean {
  if (a.power !== b.power) return a.power > b.power
  if (a.event.originServerTs !== b.event.originServerTs) return a.event.originServerTs < b.event.originServerTs
  return a.event.eventId < b.event.eventId
}

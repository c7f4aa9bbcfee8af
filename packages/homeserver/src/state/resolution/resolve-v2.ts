import { type RoomEvent, type StateMap, stateEntry } from '../../matrix/events.ts'
import type { EventId } from '../../matrix/ids.ts'
import { authorize } from '../authorization.ts'
import type { RoomVersion } from '../room-versions.ts'
import { authChain, authDifference, conflictedSubgraph, type EventMap } from './auth-graph.ts'
import { authEventsView } from './auth-view.ts'
import type { Division } from './conflicts.ts'
import { mainlineOrder } from './mainline-order.ts'
import { reverseTopologicalPowerOrder } from './power-order.ts'

/**
 * State resolution of room versions 2 to 11, and of 12 with what it changes: nothing is taken for granted while the
 * disputed events are checked, and the events between them are looked at too. Room version 2 and 12, "State resolution",
 * "Algorithm".
 */
export function resolveV2(
  version: RoomVersion,
  sets: readonly StateMap[],
  { unconflicted, conflicted }: Division,
  events: EventMap,
  rejected: ReadonlySet<EventId>,
): StateMap {
  const startsEmpty = version.resolution === 'v2.1'
  const disputed = new Set([...conflicted.values()].flatMap((holders) => [...holders]))
  const between = startsEmpty ? conflictedSubgraph(disputed, events) : []
  const full = knownState([...disputed, ...between, ...authDifference(sets, unconflicted, events)], events)

  const powerEvents = [...full].filter((eventId) => isPowerEvent(events.get(eventId)!))
  const chosen = new Set([...powerEvents, ...authChain(powerEvents, events).intersection(full)])
  const rest = [...full.difference(chosen)].map((eventId) => events.get(eventId)!)

  const resolved = new Map<string, EventId>()
  const held = (entry: string) =>
    events.get(resolved.get(entry) ?? (startsEmpty ? undefined : unconflicted.get(entry))!)
  const apply = (ordered: readonly RoomEvent[]) => {
    for (const event of ordered) {
      const own = authEventsView(event, version, events, (eventId) => !rejected.has(eventId))
      const view = (type: string, stateKey: string) => held(stateEntry(type, stateKey)) ?? own(type, stateKey)
      if (authorize(event, version, view).allowed) resolved.set(stateEntry(event.type, event.stateKey!), event.eventId)
    }
  }
  apply(reverseTopologicalPowerOrder(chosen, version, events))
  apply(mainlineOrder(rest, held(stateEntry('m.room.power_levels', '')), events))
  for (const [entry, eventId] of unconflicted) resolved.set(entry, eventId)
  return resolved
}

/** Those of the events that are known and are state. */
function knownState(eventIds: readonly EventId[], events: EventMap): Set<EventId> {
  return new Set(eventIds.filter((eventId) => events.get(eventId)?.stateKey !== undefined))
}

/** Whether an event might take away what somebody may do. Room versions, "Power events". */
function isPowerEvent({ type, stateKey, sender, content }: RoomEvent): boolean {
  if (type === 'm.room.power_levels' || type === 'm.room.join_rules') return true
  const removes = content.membership === 'leave' || content.membership === 'ban'
  return type === 'm.room.member' && removes && sender !== stateKey
}

import type { RoomEvent, StateMap } from '../../matrix/events.ts'
import type { EventId } from '../../matrix/ids.ts'

/** Events by ID. */
export type EventMap = ReadonlyMap<EventId, RoomEvent>

const NONE: ReadonlySet<EventId> = new Set()

/**
 * The union of the auth chains of events, as far as the events are known: what is reached from them, without themselves
 * where nothing leads back. Room versions, "Auth chain".
 * @param except a set closed under auth events: what is in it is left out
 */
export function authChain(starts: Iterable<EventId>, events: EventMap, except = NONE): Set<EventId> {
  const chain = new Set<EventId>()
  const open = [...starts]
  for (let eventId = open.pop(); eventId !== undefined; eventId = open.pop()) {
    for (const authEvent of events.get(eventId)?.authEvents ?? []) {
      if (chain.has(authEvent) || except.has(authEvent) || !events.has(authEvent)) continue
      chain.add(authEvent)
      open.push(authEvent)
    }
  }
  return chain
}

/**
 * What is in the full auth chain of some of the states, but not of all. What all states agree on counts as in all of
 * their chains, together with its own chain, as other servers have it: else it would be disputed as soon as one state
 * rests on it. Only the rest is walked for each state. Room versions, "Auth difference".
 */
export function authDifference(sets: readonly StateMap[], unconflicted: StateMap, events: EventMap): EventId[] {
  const common = authChain(unconflicted.values(), events).union(new Set(unconflicted.values()))
  const occurrences = new Map<EventId, number>()
  for (const set of sets) {
    const disputed = [...set].filter(([entry]) => !unconflicted.has(entry)).map(([, eventId]) => eventId)
    for (const eventId of authChain(disputed, events, common)) {
      occurrences.set(eventId, (occurrences.get(eventId) ?? 0) + 1)
    }
  }
  return [...occurrences].filter(([, times]) => times < sets.length).map(([eventId]) => eventId)
}

/**
 * All that lies on a path of auth events from one event of the set to another, both ends included. Room versions,
 * "Conflicted state subgraph".
 */
export function conflictedSubgraph(conflicted: ReadonlySet<EventId>, events: EventMap): EventId[] {
  const below = new Set([...conflicted, ...authChain(conflicted, events)])
  const dependants = dependantsIn(below, events)
  const above = new Set<EventId>(conflicted)
  const open = [...conflicted]
  for (let eventId = open.pop(); eventId !== undefined; eventId = open.pop()) {
    for (const dependant of dependants.get(eventId) ?? []) {
      if (above.has(dependant)) continue
      above.add(dependant)
      open.push(dependant)
    }
  }
  return [...above]
}

/** For each event of a set, which events of the set name it as an auth event. */
export function dependantsIn(set: ReadonlySet<EventId>, events: EventMap): Map<EventId, EventId[]> {
  const dependants = new Map<EventId, EventId[]>()
  for (const eventId of set) {
    for (const authEvent of new Set(events.get(eventId)?.authEvents)) {
      if (!set.has(authEvent)) continue
      const known = dependants.get(authEvent)
      if (known) known.push(eventId)
      else dependants.set(authEvent, [eventId])
    }
  }
  return dependants
}

import { createHash } from 'node:crypto'
import { type RoomEvent, type StateMap, stateEntry, stateEntryParts } from '../../matrix/events.ts'
import type { EventId } from '../../matrix/ids.ts'
import { authorize } from '../authorization.ts'
import type { RoomVersion } from '../room-versions.ts'
import type { EventMap } from './auth-graph.ts'
import type { Division } from './conflicts.ts'

/** The passes, one after the other. Within one, what is disputed is decided piece by piece, none seeing the others. */
const PASSES = ['m.room.power_levels', 'm.room.join_rules', 'm.room.member']

/** State resolution of room version 1. Room version 1, "State resolution". */
export function resolveV1(version: RoomVersion, { unconflicted, conflicted }: Division, events: EventMap): StateMap {
  const resolved = new Map(unconflicted)
  const pieces = [...conflicted].map(([entry, holders]) => ({
    entry,
    type: stateEntryParts(entry)[0],
    candidates: byDepth(holders, events),
  }))
  const isAllowedWith = (changes: StateMap) => (event: RoomEvent) => {
    const held = (type: string, stateKey: string) => {
      const entry = stateEntry(type, stateKey)
      return events.get((changes.get(entry) ?? resolved.get(entry))!)
    }
    return authorize(event, version, held).allowed
  }
  for (const pass of PASSES) {
    const decided = pieces
      .filter(({ type }) => type === pass)
      .map(({ entry, candidates }) => [entry, lastInLine(entry, candidates, isAllowedWith)] as const)
    for (const [entry, eventId] of decided) if (eventId !== undefined) resolved.set(entry, eventId)
  }
  const others = pieces
    .filter(({ type }) => !PASSES.includes(type))
    .map(({ entry, candidates }) => [entry, candidates.findLast(isAllowedWith(new Map()))?.eventId] as const)
  for (const [entry, eventId] of others) if (eventId !== undefined) resolved.set(entry, eventId)
  return resolved
}

/** The first, replaced by each that the room's state with the one before it allows, up to the first that it does not. */
function lastInLine(
  entry: string,
  [first, ...candidates]: readonly RoomEvent[],
  isAllowedWith: (changes: StateMap) => (event: RoomEvent) => boolean,
): EventId | undefined {
  let last = first?.eventId
  for (const candidate of candidates) {
    if (!isAllowedWith(new Map([[entry, last!]]))(candidate)) break
    last = candidate.eventId
  }
  return last
}

/** By ascending depth, then by descending SHA-1 of the event ID. */
function byDepth(eventIds: ReadonlySet<EventId>, events: EventMap): RoomEvent[] {
  return [...eventIds]
    .flatMap((eventId) => events.get(eventId) ?? [])
    .map((event) => ({ event, hash: createHash('sha1').update(event.eventId).digest('hex') }))
    .sort((a, b) => a.event.depth - b.event.depth || (a.hash < b.hash ? 1 : -1))
    .map(({ event }) => event)
}

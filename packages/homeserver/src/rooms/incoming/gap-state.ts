import { type RoomEvent, type StateMap, stateEntry } from '../../matrix/events.ts'
import type { EventId } from '../../matrix/ids.ts'
import { askForEvent, askForState, askForStateIds, type Source } from '../ask-servers.ts'
import type { RoomParts } from '../ports.ts'
import { fetchOutliers, keep, missingOf } from './auth-events.ts'

type Parts = Pick<RoomParts, 'remote' | 'clock' | 'events' | 'store'>

/** More missing events than this are asked for all at once. */
const ONE_BY_ONE = 50

/** The state after an event that has no place in our graph, as another server tells the state before it. */
export async function stateAfterGap(parts: Parts, from: Source, eventId: EventId): Promise<StateMap | undefined> {
  const before = await stateBeforeEvent(parts, from, eventId)
  if (!before) return undefined
  const map = new Map(before)
  const last = await eventAtGap(parts, from, eventId)
  if (last) put(map, last, from)
  return map
}

/**
 * The state before an event, as another server tells it. Its events, and what authorizes them, are judged and kept outside
 * of the graph; those that are rejected are no part of the state.
 * @returns `undefined` if the server does not tell
 */
export async function stateBeforeEvent(parts: Parts, from: Source, eventId: EventId): Promise<StateMap | undefined> {
  const ids = await askForStateIds(parts, from, eventId)
  if (!ids) return undefined
  const missing = await missingOf(parts, [...ids.state, ...ids.authChain])
  if (missing.length > ONE_BY_ONE) await keep(parts, from, (await askForState(parts, from, eventId)) ?? [])
  else if (missing.length > 0) await fetchOutliers(parts, from, missing)

  const map = new Map<string, EventId>()
  const known = await parts.events.load(parts.store.db, from.version, ids.state)
  for (const id of ids.state) {
    const one = known.get(id)
    if (one && !one.rejected) put(map, one.event, from)
  }
  // Without its create event it is the state of nothing.
  return map.has(stateEntry('m.room.create', '')) ? map : undefined
}

function put(map: Map<string, EventId>, event: RoomEvent, { roomId }: Source): void {
  if (event.stateKey === undefined || event.roomId !== roomId) return
  map.set(stateEntry(event.type, event.stateKey), event.eventId)
}

/** The event itself, if it can be had and its auth events allow it. */
async function eventAtGap(parts: Parts, from: Source, eventId: EventId): Promise<RoomEvent | undefined> {
  const load = async () => (await parts.events.load(parts.store.db, from.version, [eventId])).get(eventId)
  const before = await load()
  if (before) return before.rejected ? undefined : before.event
  const event = await askForEvent(parts, from, eventId)
  if (!event) return undefined
  if (event.stateKey === undefined) return event
  const lacking = await missingOf(parts, event.authEvents)
  if (lacking.length > 0) await fetchOutliers(parts, from, lacking)
  await keep(parts, from, [event])
  const known = await load()
  return known && !known.rejected ? known.event : undefined
}

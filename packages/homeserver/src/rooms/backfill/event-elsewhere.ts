import type { EventId, RoomId } from '../../matrix/ids.ts'
import { createTimedCache } from '../../platform/timed-cache.ts'
import { eventFacts } from '../../storage/events.ts'
import { askForEvent, askForEventNearTime, type Source } from '../ask-servers.ts'
import type { EventElsewhere, TimeQuery } from '../event-near-time.ts'
import { fetchAuthEvents } from '../incoming/auth-events.ts'
import { stateBeforeEvent } from '../incoming/gap-state.ts'
import type { RoomParts } from '../ports.ts'
import type { RoomWriter } from '../writable-room.ts'
import { placeHistory } from './place-history.ts'
import { serversToAsk } from './servers-to-ask.ts'

/** Servers that are tried in turn. */
const MAX_SERVERS = 3
/** A room is asked for again after this long (ms) if nobody knew anything nearer. */
const FRUITLESS_MS = 30_000
const FRUITLESS_ROOMS = 1_000

/**
 * Finds an event that is nearer to a time than what we have, at another server, and gives it a place in our history: with
 * a gap before it and behind it, which `backfill` fills. Server-server API, "timestamp_to_event".
 */
export function createEventElsewhere(parts: RoomParts, writer: RoomWriter): EventElsewhere {
  const { store, clock, versions } = parts
  const fruitless = createTimedCache<true>(clock, FRUITLESS_ROOMS)

  async function bringHere(from: Source, eventId: EventId): Promise<boolean> {
    if (isPlaced((await eventFacts(store.db, [eventId])).get(eventId))) return true
    const event = await askForEvent(parts, from, eventId)
    if (!event || !(await fetchAuthEvents(parts, from, event))) return false
    const state = await stateBeforeEvent(parts, from, eventId)
    if (!state) return false
    const history = { events: [event], states: new Map([[eventId, state]]) }
    return (await writer.write(from.roomId, (room) => placeHistory(parts, room, history))) > 0
  }

  return async (roomId: RoomId, query: TimeQuery, ours: number | undefined) => {
    const version = (await versions.load(store.db, [roomId])).get(roomId)
    if (!version || fruitless.get(roomId)) return false
    for (const server of (await serversToAsk(parts, { roomId, version })).slice(0, MAX_SERVERS)) {
      const from = { server, roomId, version }
      const theirs = await askForEventNearTime(parts, from, query)
      if (theirs && isNearer(query, theirs.originServerTs, ours) && (await bringHere(from, theirs.eventId))) return true
    }
    fruitless.set(roomId, true, FRUITLESS_MS)
    return false
  }
}

const isPlaced = (facts: { position: number | null } | undefined) => facts !== undefined && facts.position !== null

function isNearer({ ts, dir }: TimeQuery, theirs: number, ours: number | undefined): boolean {
  if (dir === 'f') return theirs >= ts && (ours === undefined || theirs < ours)
  return theirs <= ts && (ours === undefined || theirs > ours)
}

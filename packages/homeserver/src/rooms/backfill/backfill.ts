import type { RoomEvent, StateMap } from '../../matrix/events.ts'
import type { EventId, RoomId } from '../../matrix/ids.ts'
import { createInFlight } from '../../platform/in-flight.ts'
import { createTimedCache } from '../../platform/timed-cache.ts'
import { missingEvents } from '../../storage/events.ts'
import { askForBackfill, type Source } from '../ask-servers.ts'
import { fetchAuthEvents } from '../incoming/auth-events.ts'
import { stateBeforeEvent } from '../incoming/gap-state.ts'
import { inOrder, placedOf } from '../incoming/missing-events.ts'
import type { Backfill } from '../messages.ts'
import type { RoomParts } from '../ports.ts'
import type { RoomWriter } from '../writable-room.ts'
import { placeHistory } from './place-history.ts'
import { serversToAsk } from './servers-to-ask.ts'

/** Missing events from which one request goes back. */
const MAX_STARTS = 10
/** Events that one request asks for at least, and at most. */
const MIN_EVENTS = 50
const MAX_EVENTS = 100
/** Servers that are tried in turn. */
const MAX_SERVERS = 5
/** States that are asked for on account of one answer: where our history and that of another server do not meet. */
const MAX_STATES = 3
/** A room whose history nobody gives is asked for again after this long (ms). */
const FRUITLESS_MS = 30_000
const FRUITLESS_ROOMS = 1_000

/** Fetches older events of rooms from the servers in them, behind what is missing in our own history. */
export function createBackfill(parts: RoomParts, writer: RoomWriter): Backfill {
  const { store, clock, log, versions } = parts
  const underWay = createInFlight<boolean>()
  const fruitless = createTimedCache<true>(clock, FRUITLESS_ROOMS)

  /** @returns how many events have come */
  async function backfillFrom(from: Source, starts: readonly EventId[], limit: number): Promise<number> {
    const got = (await askForBackfill(parts, from, starts, limit)) ?? []
    const events = ancestorsOf(starts, got)
    if (events.length === 0) return 0
    for (const event of events) await fetchAuthEvents(parts, from, event)
    const states = await statesAtGaps(from, events)
    return writer.write(from.roomId, (room) => placeHistory(parts, room, { events, states }))
  }

  /** The states before those events that follow one which is neither here nor among them. */
  async function statesAtGaps(from: Source, events: readonly RoomEvent[]): Promise<Map<EventId, StateMap>> {
    const placed = await placedOf(
      parts,
      from,
      events.flatMap((event) => event.prevEvents),
    )
    const got = new Set(events.map((event) => event.eventId))
    const atGap = events.filter((event) => event.prevEvents.some((id) => !placed.has(id) && !got.has(id)))
    const states = new Map<EventId, StateMap>()
    for (const { eventId } of atGap.slice(0, MAX_STATES)) {
      const state = await stateBeforeEvent(parts, from, eventId)
      if (state) states.set(eventId, state)
    }
    return states
  }

  async function backfill(roomId: RoomId, limit: number): Promise<boolean> {
    const version = (await versions.load(store.db, [roomId])).get(roomId)
    const starts = (await missingEvents(store.db, roomId, MAX_STARTS)).map(({ eventId }) => eventId)
    if (!version || starts.length === 0) return false
    const wanted = Math.min(MAX_EVENTS, Math.max(MIN_EVENTS, limit))
    const servers = await serversToAsk(parts, { roomId, version })
    for (const server of servers.slice(0, MAX_SERVERS)) {
      const count = await backfillFrom({ server, roomId, version }, starts, wanted)
      log.debug({ roomId, server, count }, 'history was asked for')
      if (count > 0) return true
    }
    fruitless.set(roomId, true, FRUITLESS_MS)
    return false
  }

  return async (roomId, limit) =>
    fruitless.get(roomId) ? false : underWay.share(roomId, () => backfill(roomId, limit))
}

/** The events that were asked for and what lies before them, each behind those that it follows: nothing else is taken. */
function ancestorsOf(starts: readonly EventId[], events: readonly RoomEvent[]): RoomEvent[] {
  const got = new Map(events.map((event) => [event.eventId, event]))
  const found = new Map<EventId, RoomEvent>()
  const queue = [...starts]
  for (const id of queue) {
    const event = got.get(id)
    if (!event || found.has(id)) continue
    found.set(id, event)
    queue.push(...event.prevEvents)
  }
  return inOrder(found)
}

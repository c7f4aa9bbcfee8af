import type { RoomEvent, StateMap } from '../../matrix/events.ts'
import type { EventId } from '../../matrix/ids.ts'
import type { Source } from '../ask-servers.ts'
import { askPolicyServer } from '../policy-server.ts'
import type { RoomParts } from '../ports.ts'
import type { RoomWriter } from '../writable-room.ts'
import { addReceived, type Outcome } from './add-received.ts'
import { fetchAuthEvents } from './auth-events.ts'
import { stateAfterGap } from './gap-state.ts'
import { fetchMissingEvents, placedOf } from './missing-events.ts'

/** States that are asked for on account of one event that came. */
const MAX_GAPS = 5

const NO_GAPS: ReadonlyMap<EventId, StateMap> = new Map()

/**
 * Takes one verified event into a room that we are in, with what has to be had before that: the events it follows, the
 * state where too much is missing, and what authorizes it. All requests go to the server that sent it, and none is made
 * inside a transaction. Server-server API, "Checks performed on receipt of a PDU" and "Backfilling and retrieving missing
 * events".
 */
export async function takeEvent(
  parts: RoomParts,
  writer: RoomWriter,
  from: Source,
  event: RoomEvent,
): Promise<Outcome> {
  const placed = await placedOf(parts, from, [event.eventId, ...event.prevEvents])
  if (placed.has(event.eventId)) return 'known'
  if (event.prevEvents.some((id) => !placed.has(id))) await fillGap(parts, writer, from, event)
  // Whoever does not give what an event of theirs follows has it refused: else they could begin a history of their own.
  return add(parts, writer, from, event, NO_GAPS)
}

async function fillGap(parts: RoomParts, writer: RoomWriter, from: Source, event: RoomEvent): Promise<void> {
  let gapsLeft = MAX_GAPS
  for (const one of await fetchMissingEvents(parts, from, event)) {
    const placed = await placedOf(parts, from, one.prevEvents)
    const gaps = new Map<EventId, StateMap>()
    for (const id of one.prevEvents) {
      if (placed.has(id) || gapsLeft-- <= 0) continue
      const state = await stateAfterGap(parts, from, id)
      if (state) gaps.set(id, state)
    }
    await add(parts, writer, from, one, gaps)
  }
}

async function add(
  parts: RoomParts,
  writer: RoomWriter,
  from: Source,
  event: RoomEvent,
  gaps: ReadonlyMap<EventId, StateMap>,
): Promise<Outcome> {
  if (!(await fetchAuthEvents(parts, from, event))) return 'lacks_auth_events'
  const { event: advised, refusal } = await askPolicyServer(parts, from, event)
  const received = { event: advised, gaps, recommended: refusal === undefined }
  return writer.write(from.roomId, (room) => addReceived(parts, room, received))
}

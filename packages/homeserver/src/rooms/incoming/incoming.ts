import { type EventId, isEventId, isRoomId, type RoomId, type ServerName } from '../../matrix/ids.ts'
import { isObject } from '../../matrix/json.ts'
import { createKeyedLock } from '../../platform/keyed-lock.ts'
import { createSemaphore } from '../../platform/semaphore.ts'
import { roomVersion } from '../../state/room-versions.ts'
import { isDatabaseFailure } from '../../storage/database-failures.ts'
import { hasLocalMember } from '../../storage/room-population.ts'
import { roomRow } from '../../storage/rooms.ts'
import type { Source } from '../ask-servers.ts'
import type { RoomParts } from '../ports.ts'
import type { ServerAcl } from '../server-acl.ts'
import { type VerifiedEvent, verifyEvents } from '../verify-events.ts'
import type { RoomWriter } from '../writable-room.ts'
import type { Outcome } from './add-received.ts'
import { takeOutside } from './outside.ts'
import { takeEvent } from './take-event.ts'

/** What became of each event of a transaction; without `error` it was taken, if only to be rejected by its rules. */
type PduResults = Record<EventId, { error?: string }>

export type Incoming = {
  /**
   * Takes the PDUs of a transaction. A bad one fails none of its neighbours. Server-server API, "Transactions".
   * @param pdus anything
   */
  receive(origin: ServerName, pdus: readonly unknown[]): Promise<PduResults>
}

/** Rooms of one transaction that are worked on at the same time. */
const PARALLEL = 10

const NOT_IN_ROOM = 'This server is not in the room'
const ERRORS: Partial<Record<Outcome, string>> = {
  lacks_prev_events: 'The events that this one follows could not be had',
  lacks_auth_events: 'The events that authorize this one could not be had',
  no_place: 'This event follows no other',
}

export function createIncoming(parts: RoomParts, writer: RoomWriter, acl: ServerAcl): Incoming {
  const { store, log } = parts
  // What one server sends of one room is taken in order; a server that is slow to answer holds up nobody else. By
  // two processes, the room's row makes an order, and what an event lacks is fetched as ever.
  const lock = createKeyedLock()

  async function refusalOf(origin: ServerName, roomId: RoomId): Promise<string | undefined> {
    if (!(await hasLocalMember(store.db, roomId))) return NOT_IN_ROOM
    return (await acl.denies(roomId, origin)) ? 'Your server is denied access to the room' : undefined
  }

  async function takeOne(from: Source, verified: VerifiedEvent, refusal: string | undefined): Promise<PduResults> {
    if (!('event' in verified)) {
      log.info({ origin: from.server, roomId: from.roomId, ...verified }, 'an event was dropped')
      return verified.eventId === undefined ? {} : { [verified.eventId]: { error: verified.invalid } }
    }
    const { eventId } = verified.event
    try {
      if (refusal !== undefined) {
        const isOurs = refusal === NOT_IN_ROOM && (await takeOutside(parts, from, verified.event))
        return { [eventId]: isOurs ? {} : { error: refusal } }
      }
      const outcome = await takeEvent(parts, writer, from, verified.event)
      const error = ERRORS[outcome]
      if (outcome !== 'accepted' && outcome !== 'known') {
        log.info({ origin: from.server, roomId: from.roomId, eventId, outcome }, 'an event was not accepted')
      }
      return { [eventId]: error === undefined ? {} : { error } }
    } catch (error) {
      // The whole transaction fails, and comes again.
      if (isDatabaseFailure(error)) throw error
      log.error({ err: error, origin: from.server, eventId }, 'an event could not be handled')
      return { [eventId]: { error: 'Internal error' } }
    }
  }

  async function takeRoom(origin: ServerName, roomId: RoomId, pdus: readonly unknown[]): Promise<PduResults> {
    const row = await roomRow(store.db, roomId)
    const version = row && roomVersion(row.version)
    // Without a version, the event IDs are not known but where events say them.
    if (!version) return Object.assign({}, ...pdus.map(unknownRoom))
    const from = { server: origin, roomId, version }
    const refusal = await refusalOf(origin, roomId)
    const results: PduResults[] = []
    for (const one of await verifyEvents(parts, pdus, version)) results.push(await takeOne(from, one, refusal))
    return Object.assign({}, ...results)
  }

  return {
    async receive(origin, pdus) {
      const byRoom = new Map<RoomId, unknown[]>()
      for (const pdu of pdus) {
        if (!isObject(pdu) || !isRoomId(pdu.room_id)) continue
        const ofRoom = byRoom.get(pdu.room_id)
        if (ofRoom) ofRoom.push(pdu)
        else byRoom.set(pdu.room_id, [pdu])
      }
      const permits = createSemaphore(PARALLEL)
      const results = await Promise.all(
        [...byRoom].map(([roomId, ofRoom]) =>
          permits.run(() => lock(`${origin} ${roomId}`, () => takeRoom(origin, roomId, ofRoom))),
        ),
      )
      return Object.assign({}, ...results)
    },
  }
}

function unknownRoom(pdu: unknown): PduResults {
  const eventId = isObject(pdu) ? pdu.event_id : undefined
  return isEventId(eventId) ? { [eventId]: { error: 'This room is not known here' } } : {}
}

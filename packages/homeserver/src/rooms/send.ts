import { badJson, forbidden, MatrixError } from '../matrix/errors.ts'
import { type RoomEvent, stateEntry } from '../matrix/events.ts'
import type { EventId, ServerName, UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { opaqueId, type Random } from '../platform/random.ts'
import { authEventKeys } from '../state/auth-events.ts'
import { authorize } from '../state/authorization.ts'
import { buildEvent } from '../state/build-event.ts'
import { referenceHash } from '../state/hashes.ts'
import { append } from './append.ts'
import { addReceived } from './incoming/add-received.ts'
import { mayNeedAdvice } from './policy-server.ts'
import { advisedInstead, NeedsAdvice } from './policy-writer.ts'
import type { RoomParts } from './ports.ts'
import { decisiveKeys, stateView } from './state-view.ts'
import type { WritableRoom } from './writable-room.ts'

/** What one of our users wants to say. */
export type Draft = {
  type: string
  stateKey?: string | undefined
  sender: UserId
  content: JsonObject
  redacts?: EventId | undefined
  /** Epoch ms; now, if left out. */
  originServerTs?: number | undefined
}

/** An event follows at most so many others. Server-server API, "PDUs", allows 20. */
const MAX_PREV_EVENTS = 10

/**
 * Builds the event of a draft on a room's state now, without adding it: also for other servers' users who are about to
 * join by us. @throws `M_FORBIDDEN` if the rules do not allow it; 413 `M_TOO_LARGE`
 */
export async function buildOnCurrent(parts: RoomParts, room: WritableRoom, draft: Draft): Promise<RoomEvent> {
  const event = await buildUnchecked(parts, room, draft)
  const map = room.current?.map ?? new Map()
  const view = await stateView(parts, room.tx.db, room, map, decisiveKeys(event, room.version))
  const verdict = authorize(event, room.version, view)
  if (!verdict.allowed) throw forbidden(verdict.reason)
  return event
}

async function buildUnchecked(parts: RoomParts, room: WritableRoom, draft: Draft): Promise<RoomEvent> {
  const { clock, random, serverName, signingKey } = parts
  const { version } = room
  const map = room.current?.map ?? new Map<string, EventId>()
  const { type, stateKey, sender, content, redacts } = draft
  const wanted = authEventKeys({ type, stateKey, sender, content }, version)
  const authEvents = [...new Set(wanted.flatMap(([type, stateKey]) => map.get(stateEntry(type, stateKey)) ?? []))]
  const previous = [...room.extremities].sort((a, b) => b.depth - a.depth).slice(0, MAX_PREV_EVENTS)
  const depth = Math.max(0, ...previous.map((one) => one.depth)) + 1
  const event = buildEvent(
    {
      roomId: room.roomId,
      type,
      ...(stateKey === undefined ? {} : { stateKey }),
      sender,
      content,
      ...(redacts === undefined ? {} : { redacts }),
      prevEvents: previous.map((one) => one.eventId),
      authEvents,
      depth,
      originServerTs: draft.originServerTs ?? clock.now(),
      eventId: newEventId(random, serverName),
      referenceHashOf: await referenceHashes(parts, room, [...previous.map((one) => one.eventId), ...authEvents]),
    },
    version,
    serverName,
    signingKey,
  )
  if ('invalid' in event)
    throw event.tooLarge ? new MatrixError(413, 'M_TOO_LARGE', event.invalid) : badJson(event.invalid)
  return event
}

/** Room versions 1 and 2 name events together with their hashes. */
async function referenceHashes(
  parts: RoomParts,
  { tx, version }: WritableRoom,
  eventIds: readonly EventId[],
): Promise<((eventId: EventId) => string | undefined) | undefined> {
  if (version.eventFormat !== 1) return undefined
  const known = await parts.events.load(tx.db, version, eventIds)
  return (eventId) => {
    const event = known.get(eventId)?.event
    return event && referenceHash(event.pdu, version)
  }
}

/**
 * Says something in a room: builds the event on the state now, checks it and adds it.
 * @throws `M_FORBIDDEN` if the rules of the room do not allow it; 413 `M_TOO_LARGE`
 */
export async function send(
  parts: RoomParts,
  room: WritableRoom,
  draft: Draft,
  tell: 'everybody' | readonly ServerName[] = 'everybody',
): Promise<RoomEvent> {
  const event = await buildOnCurrent(parts, room, draft)
  if (room.current && mayNeedAdvice(room.current.map, event)) return sendAdvised(parts, room, event, tell)
  await append(parts, room, { event, before: room.current, tell })
  return event
}

/** Adds the event that the room's policy server was asked about, which stands where the room was then. */
async function sendAdvised(
  parts: RoomParts,
  room: WritableRoom,
  event: RoomEvent,
  tell: 'everybody' | readonly ServerName[],
): Promise<RoomEvent> {
  const advised = advisedInstead(room, event)
  if (!advised) throw new NeedsAdvice(event)
  const outcome = await addReceived(parts, room, { event: advised, gaps: new Map(), recommended: true, tell })
  if (outcome !== 'accepted') throw forbidden('The room does not allow it any more')
  return advised
}

/** An event ID as room versions 1 and 2 want one, chosen by the sender's server. */
export function newEventId(random: Random, serverName: ServerName): EventId {
  return `$${opaqueId(random)}:${serverName}` as EventId
}

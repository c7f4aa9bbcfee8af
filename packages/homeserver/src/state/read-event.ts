import type { Pdu, RoomEvent } from '../matrix/events.ts'
import { type EventId, isEventId, isRoomId, isUserId, type RoomId, type UserId } from '../matrix/ids.ts'
import { canonicalJson, canonicalRequest, isObject } from '../matrix/json.ts'
import { eventIdOf } from './hashes.ts'
import type { RoomVersion } from './room-versions.ts'

/** Why an event is none that may be sent or taken: in words, and whether it is merely too large. */
export type BadEvent = { readonly invalid: string; readonly tooLarge: boolean }

const MAX_EVENT_BYTES = 65_536
const MAX_KEY_BYTES = 255
const MAX_PREV_EVENTS = 20
const MAX_AUTH_EVENTS = 10

/**
 * Reads an event from outside by the format of its room's version. Members that are not known are kept. Room versions,
 * "Event format"; client-server API, "Size limits". Hashes and signatures are not looked at.
 */
export function readEvent(pdu: unknown, version: RoomVersion): RoomEvent | BadEvent {
  if (!isObject(pdu)) return bad('the event is no object')
  const canonical = version.strictJson ? canonicalJson(pdu) : canonicalRequest(pdu)
  if (canonical === undefined) return bad('the event is no canonical JSON')
  const tooLarge = oversize(pdu, canonical)
  if (tooLarge) return { invalid: `${tooLarge} is too large`, tooLarge: true }
  const offence = malformation(pdu) ?? idMalformation(pdu, version) ?? linksMalformation(pdu, version)
  return offence === undefined ? trustedEvent(pdu as Pdu, version) : bad(offence)
}

/**
 * The event that a PDU is, of which it is known that it was read before.
 * @param eventId saves computing it where it is known
 */
export function trustedEvent(pdu: Pdu, version: RoomVersion, eventId: EventId = eventIdOf(pdu, version)): RoomEvent {
  const isRoomsName = version.roomIdIsCreateEvent && pdu.type === 'm.room.create'
  return {
    eventId,
    roomId: isRoomsName ? (`!${eventId.slice(1)}` as RoomId) : (pdu.room_id as RoomId),
    type: pdu.type,
    stateKey: pdu.state_key as string | undefined,
    sender: pdu.sender as UserId,
    content: pdu.content,
    depth: pdu.depth,
    originServerTs: pdu.origin_server_ts,
    prevEvents: linksOf(pdu.prev_events, version),
    authEvents: linksOf(pdu.auth_events, version),
    redacts: redactsOf(pdu, version),
    pdu,
  }
}

function linksOf(links: unknown, version: RoomVersion): EventId[] {
  return version.eventFormat === 1 ? (links as [EventId][]).map(([eventId]) => eventId) : (links as EventId[])
}

function redactsOf(pdu: Pdu, version: RoomVersion): EventId | undefined {
  if (pdu.type !== 'm.room.redaction') return undefined
  const redacts = version.redactsInContent ? pdu.content.redacts : pdu.redacts
  return isEventId(redacts) ? redacts : undefined
}

const bad = (invalid: string): BadEvent => ({ invalid, tooLarge: false })

/** Bytes of UTF-8. */
const isLongerThan = (value: unknown, bytes: number) => typeof value === 'string' && Buffer.byteLength(value) > bytes

function oversize(pdu: Record<string, unknown>, canonical: string): string | undefined {
  if (isLongerThan(canonical, MAX_EVENT_BYTES)) return 'the event'
  return ['type', 'state_key', 'sender', 'room_id', 'event_id'].find((key) => isLongerThan(pdu[key], MAX_KEY_BYTES))
}

function malformation(pdu: Record<string, unknown>): string | undefined {
  const { type, state_key: stateKey, content, depth, origin_server_ts: originServerTs, hashes } = pdu
  // No database keeps a NUL in a text, and `stateEntry` counts on there being none.
  if (!isText(type)) return 'type is no string'
  if (stateKey !== undefined && !isText(stateKey)) return 'state_key is no string'
  if (!isUserId(pdu.sender)) return 'sender is no user ID'
  if (!isObject(content)) return 'content is no object'
  // Larger numbers, which old room versions have, do not survive parsing, so that no hash of them would be right.
  if (!Number.isSafeInteger(depth) || (depth as number) < 0) return 'depth is no integer from 0 to 2^53 - 1'
  if (!Number.isSafeInteger(originServerTs)) return 'origin_server_ts is no integer'
  if (!isObject(hashes) || typeof hashes.sha256 !== 'string') return 'hashes has no sha256'
  if (!isObject(pdu.signatures)) return 'signatures is no object'
  const areKeys = (keys: unknown) => isObject(keys) && Object.values(keys).every((value) => typeof value === 'string')
  return Object.values(pdu.signatures).every(areKeys) ? undefined : 'signatures are no strings by server and key ID'
}

const isText = (value: unknown) => typeof value === 'string' && !value.includes('\0')

function idMalformation(pdu: Record<string, unknown>, version: RoomVersion): string | undefined {
  if (version.roomIdIsCreateEvent && pdu.type === 'm.room.create') {
    if (pdu.room_id !== undefined) return 'an m.room.create event of this room version has no room_id'
  } else if (!isRoomId(pdu.room_id)) return 'room_id is no room ID'
  if (version.eventFormat === 1 && !(isEventId(pdu.event_id) && pdu.event_id.includes(':'))) {
    return 'event_id is no event ID of this room version'
  }
  if (!version.redactsInContent && pdu.redacts !== undefined && typeof pdu.redacts !== 'string') {
    return 'redacts is no string'
  }
  return undefined
}

function linksMalformation(pdu: Record<string, unknown>, version: RoomVersion): string | undefined {
  const isLink = version.eventFormat === 1 ? isPair : isEventId
  const areLinks = (value: unknown, most: number) => Array.isArray(value) && value.length <= most && value.every(isLink)
  if (!areLinks(pdu.prev_events, MAX_PREV_EVENTS)) return 'prev_events are no list of at most 20 events'
  if (!areLinks(pdu.auth_events, MAX_AUTH_EVENTS)) return 'auth_events are no list of at most 10 events'
  return undefined
}

/** An event ID and the event's hashes, which nobody looks at. */
function isPair(link: unknown): boolean {
  return Array.isArray(link) && link.length === 2 && isEventId(link[0]) && isObject(link[1])
}

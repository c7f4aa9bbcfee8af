import type { RoomEvent } from '../matrix/events.ts'
import type { EventId, RoomId, ServerName, UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import type { SigningKey } from '../matrix/signing.ts'
import { contentHash } from './hashes.ts'
import { type BadEvent, readEvent } from './read-event.ts'
import type { RoomVersion } from './room-versions.ts'
import { signPdu } from './signatures.ts'

/** An event to be made: what it says, and where in the room it stands. */
export type EventDraft = {
  /** `undefined` for an `m.room.create` of room version 12 and later, which gives the room its ID. */
  roomId: RoomId | undefined
  type: string
  stateKey?: string | undefined
  sender: UserId
  content: JsonObject
  prevEvents: readonly EventId[]
  authEvents: readonly EventId[]
  /** Cut down to 2^53 - 1. */
  depth: number
  /** Epoch ms. */
  originServerTs: number
  /** What an `m.room.redaction` redacts; put where the room version wants it. */
  redacts?: EventId | undefined
  /** Needed in room versions 1 and 2, where an ID is chosen; else of no effect. */
  eventId?: EventId | undefined
  /** Room versions 1 and 2 only: the `referenceHash` of an event that the draft names. */
  referenceHashOf?: ((eventId: EventId) => string | undefined) | undefined
  unsigned?: JsonObject | undefined
}

/**
 * Makes an event of ours: in the format of the room version, hashed and signed. Server-server API, "Adding hashes and
 * signatures to outgoing events".
 * @returns what is wrong with it, where a draft makes no event that other servers would take
 */
export function buildEvent(
  draft: EventDraft,
  version: RoomVersion,
  serverName: ServerName,
  key: SigningKey,
): RoomEvent | BadEvent {
  const prevEvents = linksTo(draft.prevEvents, draft, version)
  const authEvents = linksTo(draft.authEvents, draft, version)
  if (!prevEvents || !authEvents) return { invalid: 'a referenced event’s hash is not known', tooLarge: false }
  const redactsAbove = draft.redacts !== undefined && !version.redactsInContent
  const redactsWithin = draft.redacts !== undefined && version.redactsInContent
  const template: JsonObject = {
    type: draft.type,
    sender: draft.sender,
    content: redactsWithin ? { ...draft.content, redacts: draft.redacts! } : draft.content,
    depth: Math.min(draft.depth, Number.MAX_SAFE_INTEGER),
    origin_server_ts: draft.originServerTs,
    prev_events: prevEvents,
    auth_events: authEvents,
    ...(draft.roomId !== undefined && { room_id: draft.roomId }),
    ...(draft.stateKey !== undefined && { state_key: draft.stateKey }),
    ...(redactsAbove && { redacts: draft.redacts! }),
    ...(draft.unsigned && { unsigned: draft.unsigned }),
  }
  return completeEvent(template, version, serverName, key, draft.eventId)
}

/**
 * Makes an event of a template, such as another server gives for a join: adds the event ID where the room version wants
 * it as a member, the content hash, and our signature, which becomes the only one.
 * @param template from outside: it may be anything
 * @param eventId as in a draft
 */
export function completeEvent(
  template: JsonObject,
  version: RoomVersion,
  serverName: ServerName,
  key: SigningKey,
  eventId?: EventId,
): RoomEvent | BadEvent {
  const { hashes: _, signatures: __, event_id: ___, ...rest } = template
  const named: JsonObject = version.eventFormat === 1 && eventId !== undefined ? { ...rest, event_id: eventId } : rest
  // Read first as it is, since only what has the right shape can be hashed and signed.
  const unsealed = { ...named, hashes: { sha256: '' }, signatures: {} }
  const shape = readEvent(unsealed, version)
  if ('invalid' in shape) return shape
  const hashed = { ...shape.pdu, hashes: { sha256: contentHash(named) } }
  return readEvent(signPdu(hashed, version, serverName, key), version)
}

/** `undefined` where the room version wants a hash that is not known. */
function linksTo(
  eventIds: readonly EventId[],
  { referenceHashOf }: EventDraft,
  { eventFormat }: RoomVersion,
): JsonObject['prev_events'] | undefined {
  if (eventFormat !== 1) return [...eventIds]
  const pairs = eventIds.map((eventId) => [eventId, referenceHashOf?.(eventId)] as const)
  if (pairs.some(([, sha256]) => sha256 === undefined)) return undefined
  return pairs.map(([eventId, sha256]) => [eventId, { sha256: sha256! }])
}

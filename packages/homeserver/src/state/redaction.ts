import type { Pdu, RoomEvent } from '../matrix/events.ts'
import { serverNameOf } from '../matrix/ids.ts'
import { isObject, type Json, type JsonObject } from '../matrix/json.ts'
import { powerLevels } from './power-levels.ts'
import type { RoomVersion } from './room-versions.ts'
import type { StateView } from './state-view.ts'

/**
 * An event with only what its room version protects from redaction; `unsigned` goes too. What is left has the same event
 * ID and signatures. Room versions, "Redactions".
 */
export function redactPdu(pdu: Pdu, version: RoomVersion): Pdu {
  const kept = Object.entries(pdu).filter(([member]) => version.redaction.members.has(member))
  return { ...Object.fromEntries(kept), content: redactContent(pdu, version) } as Pdu
}

function redactContent({ type, content }: Pdu, { redaction }: RoomVersion): JsonObject {
  const members = redaction.content.get(type) ?? []
  if (members === 'all') return content
  const kept: [string, Json][] = Object.entries(content).filter(([member]) => members.includes(member))
  const invite = content.third_party_invite
  if (redaction.keepsSignedThirdPartyInvite && type === 'm.room.member' && isObject(invite)) {
    kept.push(['third_party_invite', invite.signed === undefined ? {} : { signed: invite.signed as Json }])
  }
  return Object.fromEntries(kept)
}

/** The event as it is once redacted, with the same ID. */
export function redactEvent(event: RoomEvent, version: RoomVersion): RoomEvent {
  const pdu = redactPdu(event.pdu, version)
  const redacts = version.redactsInContent ? event.redacts : undefined
  return { ...event, pdu, content: pdu.content, redacts }
}

/**
 * Whether a redaction that was accepted takes effect on the event that it names. In room versions 1 and 2 the auth rules
 * have decided that already. Room versions 3 and later, "Handling redactions".
 * @param state the state of the room at the redaction
 */
export function redactionApplies(
  redaction: RoomEvent,
  original: RoomEvent,
  version: RoomVersion,
  state: StateView,
): boolean {
  if (redaction.redacts !== original.eventId || redaction.roomId !== original.roomId) return false
  if (version.authorisesRedactions) return true
  if (serverNameOf(redaction.sender) === serverNameOf(original.sender)) return true
  const levels = powerLevels(version, state)
  return levels.of(redaction.sender) >= levels.redact
}

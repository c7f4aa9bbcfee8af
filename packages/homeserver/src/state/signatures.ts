import type { KeyObject } from 'node:crypto'
import type { Pdu, RoomEvent } from '../matrix/events.ts'
import { isUserId, type ServerName, serverNameOf } from '../matrix/ids.ts'
import { canonicalRequest } from '../matrix/json.ts'
import { type SigningKey, signatureOf, signText, verifyText } from '../matrix/signing.ts'
import { redactPdu } from './redaction.ts'
import type { RoomVersion } from './room-versions.ts'

/** What is signed of an event: what redaction leaves, but for the signatures. */
function signedText(pdu: Pdu, version: RoomVersion): string | undefined {
  const { signatures: _, ...rest } = redactPdu(pdu, version)
  return canonicalRequest(rest)
}

/**
 * The event with a server's signature added. Server-server API, "Adding hashes and signatures to outgoing events".
 * @throws {TypeError} if the event has no canonical form
 */
export function signPdu(pdu: Pdu, version: RoomVersion, serverName: ServerName, key: SigningKey): Pdu {
  const text = signedText(pdu, version)
  if (text === undefined) throw new TypeError('an event to sign must have a canonical form')
  const ours = { ...pdu.signatures[serverName], [key.keyId]: signText(text, key) }
  return { ...pdu, signatures: { ...pdu.signatures, [serverName]: ours } }
}

/** Whether the event, redacted or not, carries a good signature by a server with that key. */
export function verifyPdu(
  pdu: Pdu,
  version: RoomVersion,
  serverName: ServerName,
  keyId: string,
  key: KeyObject,
): boolean {
  const signature = signatureOf(pdu, serverName, keyId)
  const text = signature === undefined ? undefined : signedText(pdu, version)
  return text !== undefined && verifyText(text, signature!, key)
}

/**
 * The servers without whose good signatures an event is dropped. Server-server API, "Validating hashes and signatures on
 * received events", and of the authorisation rules the one for `join_authorised_via_users_server`.
 */
export function requiredSigners(event: RoomEvent, version: RoomVersion): ServerName[] {
  const signers = new Set<ServerName>()
  if (!isThirdPartyInvite(event)) signers.add(serverNameOf(event.sender))
  if (version.eventFormat === 1) signers.add(event.eventId.slice(event.eventId.indexOf(':') + 1) as ServerName)
  const authoriser = event.content.join_authorised_via_users_server
  if (version.restrictedJoins && event.type === 'm.room.member' && isUserId(authoriser)) {
    signers.add(serverNameOf(authoriser))
  }
  return [...signers]
}

/** The sender of such an invite is whoever invited the address; the server that sends it may be another. */
function isThirdPartyInvite({ type, content }: RoomEvent): boolean {
  return type === 'm.room.member' && content.membership === 'invite' && Object.hasOwn(content, 'third_party_invite')
}

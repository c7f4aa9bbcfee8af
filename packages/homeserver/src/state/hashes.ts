import { createHash } from 'node:crypto'
import type { Pdu } from '../matrix/events.ts'
import type { EventId } from '../matrix/ids.ts'
import { canonicalRequest, type JsonObject } from '../matrix/json.ts'
import { decodeBase64, encodeBase64 } from '../matrix/signing.ts'
import { redactPdu } from './redaction.ts'
import type { RoomVersion } from './room-versions.ts'

/**
 * The content hash, in unpadded base64: of the whole event. Server-server API, "Calculating the content hash for an event".
 * @throws {TypeError} if the event nests too deeply to have a canonical form: the reader lets no such event in
 */
export function contentHash(pdu: JsonObject): string {
  const { unsigned: _, signatures: __, hashes: ___, ...rest } = pdu
  return encodeBase64(sha256(rest))
}

/** Whether the event is what its `hashes` say: if not, only its redacted form is to be used. */
export function hasGoodContentHash(pdu: Pdu): boolean {
  return decodeBase64(pdu.hashes.sha256).equals(decodeBase64(contentHash(pdu)))
}

/**
 * The reference hash, in unpadded base64: of what redaction leaves. Server-server API, "Calculating the reference hash
 * for an event".
 * @throws {TypeError} as `contentHash`
 */
export function referenceHash(pdu: Pdu, version: RoomVersion): string {
  return encodeBase64(referenceDigest(pdu, version))
}

/** The event's ID: said by the event in room versions 1 and 2, made of its reference hash in later ones. */
export function eventIdOf(pdu: Pdu, version: RoomVersion): EventId {
  if (version.eventFormat === 1) return pdu.event_id as EventId
  const digest = referenceDigest(pdu, version)
  return `$${version.eventFormat === 2 ? encodeBase64(digest) : digest.toString('base64url')}` as EventId
}

function referenceDigest(pdu: Pdu, version: RoomVersion): Buffer {
  const { signatures: _, ...rest } = redactPdu(pdu, version)
  return sha256(rest)
}

/** Events of old rooms may hold numbers that canonical JSON does not know; in later ones the reader refuses them. */
function sha256(value: JsonObject): Buffer {
  const text = canonicalRequest(value)
  if (text === undefined) throw new TypeError('an event to hash must have a canonical form')
  return createHash('sha256').update(text).digest()
}

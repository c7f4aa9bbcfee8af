import type { RoomEvent } from '../matrix/events.ts'
import { canonicalRequest, entriesOf, isObject } from '../matrix/json.ts'
import { verifyKeyFrom, verifyText } from '../matrix/signing.ts'
import { membershipOf, type StateView } from './state-view.ts'

/** An identity server gives two keys and one signature; every signature is tried with every key. */
const MAX_KEYS = 16
const MAX_SIGNATURES = 16

/**
 * The rules of an invite that came about by an invite of a third-party identifier, which the sender has sent earlier.
 * Room versions, "Authorisation rules", `membership` is `invite`; server-server API, "Verifying the invite".
 * @returns why the event is refused; `undefined` if it is allowed
 */
export function thirdPartyInviteRefusal(event: RoomEvent, target: string, state: StateView): string | undefined {
  if (membershipOf(state, target) === 'ban') return 'the user is banned'
  const said = event.content.third_party_invite
  const signed = isObject(said) ? said.signed : undefined
  if (!isObject(signed)) return 'the third-party invite is not signed'
  const { mxid, token } = signed
  if (typeof token !== 'string' || mxid !== target) return 'the third-party invite is not the user’s'
  const invite = state('m.room.third_party_invite', token)
  if (invite?.sender !== event.sender) return 'the sender has sent no such third-party invite'
  return isSignedByOneOf(signed, publicKeysOf(invite)) ? undefined : 'no signature of the third-party invite is good'
}

function publicKeysOf({ content }: RoomEvent): string[] {
  const listed = Array.isArray(content.public_keys) ? content.public_keys : []
  const keys = [content.public_key, ...listed.map((key) => (isObject(key) ? key.public_key : undefined))]
  return keys.filter((key) => typeof key === 'string').slice(0, MAX_KEYS)
}

function isSignedByOneOf(object: Record<string, unknown>, publicKeys: readonly string[]): boolean {
  const { signatures, unsigned: _, ...rest } = object
  const text = canonicalRequest(rest)
  if (text === undefined) return false
  const keys = publicKeys.map(verifyKeyFrom).filter((key) => key !== undefined)
  const candidates = entriesOf(signatures)
    .flatMap(([, bySigner]) => entriesOf(bySigner))
    .flatMap(([, signature]) => (typeof signature === 'string' ? [signature] : []))
    .slice(0, MAX_SIGNATURES)
  return candidates.some((signature) => keys.some((key) => verifyText(text, signature, key)))
}

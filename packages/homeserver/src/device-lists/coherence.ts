import type { UserId } from '../matrix/ids.ts'
import { entriesOf, isObject } from '../matrix/json.ts'
import type { Snapshot } from './snapshot.ts'

/** How a list contradicts itself, in words that stay the same while it does. */
type Incoherence = string

/**
 * What in a list cannot be the whole truth: a self-signing key that has signed no device, and signatures of the user by a key
 * that is not there. Either happens where an update was lost. Takes and gives values only.
 */
export function incoherencesOf(userId: UserId, list: Snapshot): Set<Incoherence> {
  const found = new Set<Incoherence>()
  const crossSigning = new Set([...publicKeysOf(list.masterKey), ...publicKeysOf(list.selfSigningKey)])
  const selfSigning = publicKeysOf(list.selfSigningKey)
  let signed = false
  for (const [deviceId, keys] of list.deviceKeys) {
    for (const signer of signersOf(userId, keys)) {
      if (selfSigning.has(signer)) signed = true
      else if (signer !== deviceId && !crossSigning.has(signer)) found.add(`${deviceId} is signed by ${signer}`)
    }
  }
  if (selfSigning.size > 0 && list.deviceKeys.size > 0 && !signed) found.add('no device is signed')
  return found
}

/**
 * Whether a change has made a list contradict itself in a new way. What it contradicted itself in before was doubted then, or is
 * what the owner's own server says: so that each contradiction is doubted once.
 */
export function becameIncoherent(userId: UserId, before: Snapshot | undefined, after: Snapshot): boolean {
  const now = incoherencesOf(userId, after)
  if (now.size === 0) return false
  return !before || now.difference(incoherencesOf(userId, before)).size > 0
}

/** The key IDs, without their algorithm, that the user's own signatures name. */
function signersOf(userId: UserId, keys: Record<string, unknown>): string[] {
  const bySigner = entriesOf(keys.signatures).find(([signer]) => signer === userId)?.[1]
  return entriesOf(bySigner).map(([keyId]) => keyId.slice(keyId.indexOf(':') + 1))
}

function publicKeysOf(key: Record<string, unknown> | null): Set<string> {
  const keys = isObject(key?.keys) ? Object.values(key.keys) : []
  return new Set(keys.filter((one) => typeof one === 'string'))
}

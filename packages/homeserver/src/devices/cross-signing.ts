import { forbidden, invalidParam, MatrixError, missingParam } from '../matrix/errors.ts'
import type { UserId } from '../matrix/ids.ts'
import { canonicalJson, entriesOf, isObject } from '../matrix/json.ts'
import { verifyJson, verifyKeyFrom } from '../matrix/signing.ts'
import {
  type CrossSigningKeyRow,
  crossSigningKeys,
  putCrossSigningKeys,
  removeCrossSigningKeys,
} from '../storage/cross-signing.ts'
import { findDevice } from '../storage/devices.ts'
import type { Tx } from '../storage/store.ts'
import type { CrossSigningUsage } from '../storage/tables.ts'
import type { DeviceParts } from './ports.ts'

/** Body of `POST /keys/device_signing/upload`, its outer shape checked. */
type CrossSigningUpload = { master_key?: unknown; self_signing_key?: unknown; user_signing_key?: unknown }

export type CrossSigning = {
  /**
   * Keeps cross-signing keys, all or none. Client-server API, "POST /keys/device_signing/upload".
   * @param confirmed whether the user has confirmed it. That is not needed if there are none yet, or nothing would change
   * @throws `M_INVALID_PARAM`, `M_MISSING_PARAM`, `M_INVALID_SIGNATURE`; `M_FORBIDDEN` for a key that is the ID of a device
   */
  upload(userId: UserId, upload: CrossSigningUpload, confirmed: boolean): Promise<'done' | 'needs confirmation'>
  /** Forgets a user's cross-signing keys, as part of a transaction. */
  forget(tx: Tx, userId: UserId): Promise<void>
}

const USAGES: readonly CrossSigningUsage[] = ['master', 'self_signing', 'user_signing']
const MAX_KEY_BYTES = 32_768

type Key = Record<string, unknown>

export function createCrossSigning({ store, lists }: DeviceParts): CrossSigning {
  return {
    async upload(userId, upload, confirmed) {
      const given = new Map<CrossSigningUsage, Key>()
      for (const usage of USAGES) {
        const key = upload[`${usage}_key`]
        if (key !== undefined && key !== null) given.set(usage, readKey(key, userId, usage))
      }
      return store.transaction(async (tx) => {
        // Before it is read: what two uploads at the same time find must not be the same.
        await tx.position()
        for (const key of given.values()) {
          if (await findDevice(tx.db, userId, publicKeyOf(key)!.publicKey))
            throw forbidden('A device has this key as its ID')
        }
        const stored = await crossSigningKeys(tx.db, [userId])
        const before = new Map(stored.map((row): [CrossSigningUsage, Key] => [row.usage, JSON.parse(row.key)]))
        if (!confirmed && isReplaced(before, given)) return 'needs confirmation'
        const master = given.get('master') ?? before.get('master')
        if (given.size > 0 && !master) throw missingParam('There is no master key to sign the others')
        for (const usage of ['self_signing', 'user_signing'] as const) {
          const key = given.get(usage)
          if (key && !isSignedBy(key, userId, master!))
            throw invalidSignature(`The ${usage} key is not signed by the master key`)
        }
        const changed = [...given].filter(([usage, key]) => !sameKey(before.get(usage), key))
        const rows = changed.map(([usage, key]): CrossSigningKeyRow => {
          const old = before.get(usage)
          return {
            user_id: userId,
            usage,
            key: JSON.stringify(old && bare(old) === bare(key) ? withSignatures(key, old) : key),
          }
        })
        await putCrossSigningKeys(tx.db, rows)
        if (changed.some(([usage]) => usage !== 'user_signing')) await lists.signingKeysChanged(tx, userId)
        else if (changed.length > 0) await lists.noticeTo(tx, userId, userId)
        return 'done'
      })
    },

    async forget(tx, userId) {
      if (await removeCrossSigningKeys(tx.db, userId)) await lists.signingKeysChanged(tx, userId)
    },
  }
}

type Keys = ReadonlyMap<CrossSigningUsage, Key>

/** Whether keys are given that are not those that were there before. */
function isReplaced(before: Keys, given: Keys): boolean {
  if (!before.has('master')) return false
  return [...given].some(([usage, key]) => {
    const old = before.get(usage)
    return old === undefined || bare(old) !== bare(key)
  })
}

/** The public key of a cross-signing key: its ID and value. */
export function publicKeyOf(key: Key): { keyId: string; publicKey: string } | undefined {
  const [entry, ...more] = entriesOf(key.keys)
  if (!entry || more.length > 0 || typeof entry[1] !== 'string') return undefined
  return { keyId: entry[0], publicKey: entry[1] }
}

/** Whether `signed` carries a good signature of that user by a cross-signing key. */
function isSignedBy(signed: object, userId: UserId, key: Key): boolean {
  const signer = publicKeyOf(key)
  const verifyKey = signer && verifyKeyFrom(signer.publicKey)
  return verifyKey !== undefined && verifyJson(signed, userId, signer!.keyId, verifyKey)
}

/** 400 `M_INVALID_SIGNATURE` */
const invalidSignature = (error: string) => new MatrixError(400, 'M_INVALID_SIGNATURE', error)

function readKey(key: unknown, userId: UserId, usage: CrossSigningUsage): Key {
  if (!isObject(key)) throw invalidParam(`The ${usage} key is not an object`)
  if (key.user_id !== userId) throw invalidParam(`The ${usage} key is not of this user`)
  if (!Array.isArray(key.usage) || !key.usage.includes(usage))
    throw invalidParam(`The ${usage} key is not for that usage`)
  const publicKey = publicKeyOf(key)
  const valid = publicKey && publicKey.keyId === `ed25519:${publicKey.publicKey}` && verifyKeyFrom(publicKey.publicKey)
  if (!valid) throw invalidParam(`The ${usage} key must have exactly one Ed25519 key, named by itself`)
  const text = canonicalJson(key)
  if (text === undefined || text.length > MAX_KEY_BYTES)
    throw invalidParam(`The ${usage} key is too large or no canonical JSON`)
  const { unsigned: _, ...signed } = key
  return signed
}

/** A key without its signatures: what makes it this key. */
const bare = (key: Key) => canonicalJson({ ...key, signatures: undefined, unsigned: undefined })
const sameKey = (one: Key | undefined, other: Key) =>
  one !== undefined && canonicalJson(withSignatures(other, one)) === canonicalJson(one)

/** `key` with the signatures of both. */
export function withSignatures(key: Key, other: Key): Key {
  const signatures = new Map(entriesOf(other.signatures))
  for (const [signer, byKey] of entriesOf(key.signatures)) {
    const older = signatures.get(signer)
    signatures.set(signer, isObject(older) && isObject(byKey) ? { ...older, ...byKey } : byKey)
  }
  return signatures.size === 0 ? key : { ...key, signatures: Object.fromEntries(signatures) }
}

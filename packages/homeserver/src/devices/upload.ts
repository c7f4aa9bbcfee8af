import { badJson, invalidParam, MatrixError } from '../matrix/errors.ts'
import type { UserId } from '../matrix/ids.ts'
import { canonicalJson, entriesOf, isObject } from '../matrix/json.ts'
import { type DeviceRow, holdDevice, updateDevice } from '../storage/devices.ts'
import * as storage from '../storage/one-time-keys.ts'
import type { Tx } from '../storage/store.ts'
import { withSignatures } from './cross-signing.ts'
import type { DeviceParts } from './ports.ts'

/** Body of `POST /keys/upload`, its outer shape checked. */
type KeyUpload = { device_keys?: unknown; one_time_keys?: unknown; fallback_keys?: unknown }

export type Upload = {
  /**
   * Keeps a device's keys. Identity keys that differ from those before are news for everybody.
   * Client-server API, "POST /keys/upload".
   * @returns how many one-time keys the device has now, by algorithm
   * @throws `M_BAD_JSON`, `M_INVALID_PARAM` if any key is bad: then nothing is kept
   */
  upload(userId: UserId, deviceId: string, keys: KeyUpload): Promise<Record<string, number>>
}

/** Keys of one kind in one request; a client uploads some fifty. */
const MAX_KEYS = 1_000
/** One-time keys that a device may have in all. */
const MAX_STOCK = 10_000
const MAX_KEY_BYTES = 4_096
const MAX_DEVICE_KEYS_BYTES = 32_768

export function createUpload({ store, lists }: DeviceParts): Upload {
  async function keepDeviceKeys(
    tx: Tx,
    { user_id: userId, device_id: deviceId, device_keys: kept }: DeviceRow,
    keys: Record<string, unknown>,
  ): Promise<void> {
    const before = kept === null ? undefined : JSON.parse(kept)
    const after = withOldSignatures(keys, before)
    if (before && canonicalJson(before) === canonicalJson(after)) return
    await updateDevice(tx.db, userId, deviceId, { device_keys: JSON.stringify(after) })
    await lists.deviceChanged(tx, userId, [deviceId])
  }

  async function keepOneTimeKeys(tx: Tx, userId: UserId, deviceId: string, keys: storage.StoredKey[]): Promise<void> {
    const device = { userId, deviceId }
    const known = await storage.knownOneTimeKeys(
      tx.db,
      device,
      keys.map((key) => key.keyId),
    )
    const knownKeys = new Map(known.map((key) => [`${key.algorithm}:${key.keyId}`, key.key]))
    const added = keys.filter((key) => {
      const there = knownKeys.get(`${key.algorithm}:${key.keyId}`)
      if (there !== undefined && !isSameKey(there, key.key)) {
        throw invalidParam(`One-time key ${key.algorithm}:${key.keyId} is there already, and is another one`)
      }
      return there === undefined
    })
    const counts = await storage.oneTimeKeyCounts(tx.db, userId, deviceId)
    const total = Object.values(counts).reduce((sum, count) => sum + count, added.length)
    if (total > MAX_STOCK) throw invalidParam(`A device may have ${MAX_STOCK} one-time keys`)
    await storage.addOneTimeKeys(tx.db, device, added)
  }

  return {
    async upload(userId, deviceId, body) {
      const deviceKeys = body.device_keys == null ? undefined : readDeviceKeys(body.device_keys, userId, deviceId)
      const oneTimeKeys = readKeys(body.one_time_keys, 'one_time_keys')
      const fallbackKeys = readKeys(body.fallback_keys, 'fallback_keys')
      return store.transaction(async (tx) => {
        // Held, so that of two uploads at the same time the second sees what the first has brought.
        const device = await holdDevice(tx.db, userId, deviceId)
        if (!device) throw new MatrixError(401, 'M_UNKNOWN_TOKEN', 'The device has been logged out')
        if (oneTimeKeys.length > 0) await keepOneTimeKeys(tx, userId, deviceId, oneTimeKeys)
        await storage.putFallbackKeys(tx.db, { userId, deviceId }, lastOfEach(fallbackKeys))
        const counts = await storage.oneTimeKeyCounts(tx.db, userId, deviceId)
        if (deviceKeys) await keepDeviceKeys(tx, device, deviceKeys)
        return counts
      })
    },
  }
}

/** Checks the shape of a device's identity keys. Whether they are signed well is for other users' clients to see. */
function readDeviceKeys(keys: unknown, userId: UserId, deviceId: string): Record<string, unknown> {
  if (!isObject(keys)) throw badJson('device_keys is not an object')
  if (keys.user_id !== userId || keys.device_id !== deviceId) throw invalidParam('device_keys are not of this device')
  if (!Array.isArray(keys.algorithms) || !keys.algorithms.every((name) => typeof name === 'string')) {
    throw badJson('algorithms is not an array of strings')
  }
  if (!isObject(keys.keys) || !entriesOf(keys.keys).every(([, key]) => typeof key === 'string')) {
    throw badJson('keys is not an object of strings')
  }
  const signers = entriesOf(keys.signatures)
  const signed = signers.every(
    ([, byKey]) => isObject(byKey) && entriesOf(byKey).every(([, text]) => typeof text === 'string'),
  )
  if (!isObject(keys.signatures) || !signed) throw badJson('signatures is not an object of signatures by user')
  const text = canonicalJson(keys)
  if (text === undefined || text.length > MAX_DEVICE_KEYS_BYTES)
    throw invalidParam('device_keys are too large or no canonical JSON')
  const { unsigned: _, ...kept } = keys
  return kept
}

/** Signatures on the same keys by other keys, as the self-signing key's, outlive an upload that does not carry them. */
function withOldSignatures(keys: Record<string, unknown>, before: Record<string, unknown> | undefined): object {
  return before && canonicalJson(before.keys) === canonicalJson(keys.keys) ? withSignatures(keys, before) : keys
}

/** Reads `{"algorithm:id": key}`. A key is a string, or an object with a `key`. */
function readKeys(keys: unknown, name: string): storage.StoredKey[] {
  if (keys === undefined || keys === null) return []
  if (!isObject(keys)) throw badJson(`${name} is not an object`)
  const entries = Object.entries(keys)
  if (entries.length > MAX_KEYS) throw invalidParam(`${name} has more than ${MAX_KEYS} keys`)
  return entries.map(([id, key]) => {
    const colon = id.indexOf(':')
    if (colon < 1 || id.length > 255) throw badJson(`${name} has a key without an algorithm`)
    if (typeof key !== 'string' && !(isObject(key) && typeof key.key === 'string')) {
      throw badJson(`${name} has a key that is none: ${id}`)
    }
    const text = canonicalJson(key)
    if (text === undefined || text.length > MAX_KEY_BYTES)
      throw invalidParam(`${name} has a key that is too large: ${id}`)
    return { algorithm: id.slice(0, colon), keyId: id.slice(colon + 1), key: text }
  })
}

/** Signatures may be made anew with another outcome, so they do not count. */
function isSameKey(one: string, other: string): boolean {
  const bare = (text: string) => {
    const key = JSON.parse(text)
    return isObject(key) ? canonicalJson({ ...key, signatures: undefined }) : canonicalJson(key)
  }
  return one === other || bare(one) === bare(other)
}

/** A device has one fallback key an algorithm. */
function lastOfEach(keys: storage.StoredKey[]): storage.StoredKey[] {
  return [...new Map(keys.map((key) => [key.algorithm, key])).values()]
}

import type { UserId } from '../matrix/ids.ts'
import { isUserId, serverNameOf } from '../matrix/ids.ts'
import { canonicalJson, entriesOf, isObject, tryParseJson } from '../matrix/json.ts'
import { signatureOf, verifyJson, verifyKeyFrom } from '../matrix/signing.ts'
import { crossSigningKeys, putCrossSigningKeys, putSignatures } from '../storage/cross-signing.ts'
import { findDevice, holdDevice, updateDevice } from '../storage/devices.ts'
import type { Tx } from '../storage/store.ts'
import type { CrossSigningUsage } from '../storage/tables.ts'
import { publicKeyOf, withSignatures } from './cross-signing.ts'
import type { DeviceParts } from './ports.ts'

/** Why a signed key was not taken. */
type SignatureFailure = { errcode: string; error: string }
/** By user and key (device ID, or the public part of a cross-signing key). */
type SignatureFailures = Record<string, Record<string, SignatureFailure>>

export type Signatures = {
  /**
   * Takes signatures: a user's on their own devices and master key, and on other users' master keys. Each key is
   * judged by itself. Client-server API, "POST /keys/signatures/upload".
   * @param signed by user and key, the object that was signed, with the new signatures
   */
  upload(requester: UserId, signed: Record<string, unknown>): Promise<SignatureFailures>
}

/** The most keys in one request. */
export const MAX_SIGNED_KEYS = 1_000

type Key = Record<string, unknown>
type OwnKeys = Map<CrossSigningUsage, Key>

const invalid = (error: string): SignatureFailure => ({ errcode: 'M_INVALID_SIGNATURE', error })
const missing = (error: string): SignatureFailure => ({ errcode: 'M_NOT_FOUND', error })

export function createSignatures({ store, serverName, lists }: DeviceParts): Signatures {
  async function ownKeys(tx: Tx, userId: UserId): Promise<OwnKeys> {
    const rows = await crossSigningKeys(tx.db, [userId])
    return new Map(rows.map((row) => [row.usage, JSON.parse(row.key)]))
  }

  /** A device of the user's own, signed by their self-signing key. */
  async function signDevice(
    tx: Tx,
    userId: UserId,
    deviceId: string,
    signed: Key,
    keys: OwnKeys,
  ): Promise<SignatureFailure | undefined> {
    const device = await findDevice(tx.db, userId, deviceId)
    if (!device?.device_keys) return missing('There is no such device with keys')
    const stored: Key = JSON.parse(device.device_keys)
    const added = signaturesFrom(signed, stored, userId, [keys.get('self_signing')])
    if ('errcode' in added) return added
    const merged = withSignatures(added.key, stored)
    if (canonicalJson(merged) === canonicalJson(stored)) return undefined
    await updateDevice(tx.db, userId, deviceId, { device_keys: JSON.stringify(merged) })
    await lists.deviceChanged(tx, userId, [deviceId])
    return undefined
  }

  /** The user's own master key, signed by one of their devices. */
  async function signOwnMaster(
    tx: Tx,
    userId: UserId,
    signed: Key,
    stored: Key,
  ): Promise<SignatureFailure | undefined> {
    const names = signerNames(signed, userId).slice(0, 10)
    const devices = await Promise.all(names.map((keyId) => findDevice(tx.db, userId, keyId.slice('ed25519:'.length))))
    const signers = devices.map((device): Key | undefined =>
      device?.device_keys ? onlyEd25519(JSON.parse(device.device_keys)) : undefined,
    )
    const added = signaturesFrom(signed, stored, userId, signers)
    if ('errcode' in added) return added
    const merged = withSignatures(added.key, stored)
    if (canonicalJson(merged) === canonicalJson(stored)) return undefined
    await putCrossSigningKeys(tx.db, [{ user_id: userId, usage: 'master', key: JSON.stringify(merged) }])
    await lists.signingKeysChanged(tx, userId)
    return undefined
  }

  /** Another user's master key, signed by the requester's user-signing key; only the requester will see it. */
  async function signOther(
    tx: Tx,
    requester: UserId,
    userId: UserId,
    keyName: string,
    signed: Key,
    theirs: { keys: OwnKeys; master: string | null },
  ): Promise<SignatureFailure | undefined> {
    const stored = theirs.master === null ? undefined : tryParseJson(theirs.master)
    if (!isObject(stored) || publicKeyOf(stored)?.publicKey !== keyName)
      return missing('That user has no such master key')
    const added = signaturesFrom(signed, stored, requester, [theirs.keys.get('user_signing')])
    if ('errcode' in added) return added
    const signatures = JSON.stringify((added.key.signatures as Record<string, object>)[requester])
    await putSignatures(tx.db, requester, { user_id: userId, target: keyName, signatures })
    await lists.noticeTo(tx, requester, userId)
    return undefined
  }

  async function masterKeyOf(tx: Tx, userId: UserId): Promise<string | null> {
    const rows = await crossSigningKeys(tx.db, [userId])
    return rows.find((row) => row.usage === 'master')?.key ?? null
  }

  async function take(
    tx: Tx,
    requester: UserId,
    userId: UserId,
    keyName: string,
    signed: unknown,
    context: { keys: OwnKeys; remoteMaster: string | null },
  ): Promise<SignatureFailure | undefined> {
    if (!isObject(signed) || signed.user_id !== userId) return invalid('What was signed is not a key of that user')
    const { keys } = context
    if (userId !== requester) {
      const local = serverNameOf(userId) === serverName
      const master = local ? await masterKeyOf(tx, userId) : context.remoteMaster
      return signOther(tx, requester, userId, keyName, signed, { keys, master })
    }
    const master = keys.get('master')
    if (master && publicKeyOf(master)?.publicKey === keyName) return signOwnMaster(tx, userId, signed, master)
    return signDevice(tx, userId, keyName, signed, keys)
  }

  /** One signed key, by itself. */
  const takeAlone = (
    requester: UserId,
    userId: UserId,
    keyName: string,
    signed: unknown,
    remoteMaster: string | null,
  ): Promise<SignatureFailure | undefined> =>
    store.transaction(async (tx) => {
      // Before they are read: nobody else changes the keys from here to the commit. A device first, as elsewhere.
      if (userId === requester) await holdDevice(tx.db, userId, keyName)
      await tx.position()
      return take(tx, requester, userId, keyName, signed, { keys: await ownKeys(tx, requester), remoteMaster })
    })

  return {
    async upload(requester, signed) {
      const failures = new Map<string, Map<string, SignatureFailure>>()
      for (const [userId, keys] of Object.entries(signed)) {
        const failed = new Map<string, SignatureFailure>()
        const remoteMaster =
          isUserId(userId) && serverNameOf(userId) !== serverName ? await lists.remoteMasterKey(userId) : null
        for (const [keyName, key] of entriesOf(keys)) {
          const failure = isUserId(userId)
            ? await takeAlone(requester, userId, keyName, key, remoteMaster)
            : missing('Not a user ID')
          if (failure) failed.set(keyName, failure)
        }
        if (failed.size > 0) failures.set(userId, failed)
      }
      return Object.fromEntries([...failures].map(([userId, failed]) => [userId, Object.fromEntries(failed)]))
    },
  }
}

/** The key IDs that a user's signatures on an object name. */
function signerNames(signed: Key, userId: UserId): string[] {
  const own =
    isObject(signed.signatures) && Object.hasOwn(signed.signatures, userId) ? signed.signatures[userId] : undefined
  return entriesOf(own).map(([keyId]) => keyId)
}

/**
 * The stored key with those signatures of the signed one that are good.
 * @param signers keys that may sign here; what others signed is left out
 */
function signaturesFrom(
  signed: Key,
  stored: Key,
  signerId: UserId,
  signers: readonly (Key | undefined)[],
): { key: Key } | SignatureFailure {
  const bare = (key: Key) => canonicalJson({ ...key, signatures: undefined, unsigned: undefined })
  if (bare(signed) !== bare(stored)) return invalid('What was signed is not the key that is there')
  const good: [string, string][] = []
  for (const signer of signers) {
    const name = signer && publicKeyOf(signer)
    const signature = name && signatureOf(signed, signerId, name.keyId)
    const verifyKey = name && verifyKeyFrom(name.publicKey)
    if (signature === undefined || !verifyKey) continue
    if (!verifyJson(signed, signerId, name!.keyId, verifyKey)) return invalid('The signature is not good')
    good.push([name!.keyId, signature])
  }
  if (good.length === 0) return invalid('There is no signature by a key that may sign here')
  return { key: { ...stored, signatures: { [signerId]: Object.fromEntries(good) } } }
}

/** A device's keys as if they were its Ed25519 key alone. */
function onlyEd25519(deviceKeys: Key): Key {
  return { keys: Object.fromEntries(entriesOf(deviceKeys.keys).filter(([keyId]) => keyId.startsWith('ed25519:'))) }
}

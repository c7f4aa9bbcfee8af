import { createHash } from 'node:crypto'
import type { UserId } from '../matrix/ids.ts'
import { canonicalJson, isObject } from '../matrix/json.ts'

/** The most devices a list may have; a longer one is reported as failing, never as fresh. */
export const MAX_DEVICES = 5_000
/** The most bytes of an answer that are read. */
export const MAX_SNAPSHOT_BYTES = 8 * 1024 * 1024

type JsonObject = Record<string, unknown>

/** A remote user's list, read and checked. `deviceKeys` are as `/keys/query` answers them. */
export type Snapshot = {
  streamId: number
  deviceKeys: Map<string, JsonObject>
  /** Devices that have uploaded no keys: valid, common, and of no use for encryption. */
  keyless: string[]
  masterKey: JsonObject | null
  selfSigningKey: JsonObject | null
}

export type SnapshotReading =
  | { ok: true; snapshot: Snapshot /** What was left out, in words. */; dropped: string[] }
  | { ok: false; why: string }

/**
 * Reads what a remote server answered to `GET /_matrix/federation/v1/user/devices/{userId}`. Takes and gives values only.
 * Server-server API, "Device Management".
 * @param body the parsed body, which may be anything
 * @param userId the user that was asked for
 * @param keepDisplayNames whether the devices' names are kept
 */
export function readSnapshot(body: unknown, userId: UserId, keepDisplayNames = true): SnapshotReading {
  if (!isObject(body)) return { ok: false, why: 'the answer is not a JSON object' }
  if (body.user_id !== userId) return { ok: false, why: 'the answer is for another user' }
  if (!Number.isSafeInteger(body.stream_id)) return { ok: false, why: 'stream_id is not an integer' }
  if (!Array.isArray(body.devices)) return { ok: false, why: 'devices is not an array' }
  if (body.devices.length > MAX_DEVICES) return { ok: false, why: `more than ${MAX_DEVICES} devices` }

  const deviceKeys = new Map<string, JsonObject>()
  const keyless = new Set<string>()
  for (const device of body.devices) {
    const read = readDevice(device, userId, keepDisplayNames)
    if (typeof read === 'string') return { ok: false, why: read }
    if (deviceKeys.has(read.deviceId) || keyless.has(read.deviceId))
      return { ok: false, why: 'a device is listed twice' }
    if (read.keys) deviceKeys.set(read.deviceId, read.keys)
    else keyless.add(read.deviceId)
  }

  const dropped: string[] = []
  const crossSigningKey = (usage: 'master' | 'self_signing'): JsonObject | null | 'foreign' => {
    const key = body[`${usage}_key`]
    if (key === undefined || key === null) return null
    if (isObject(key) && typeof key.user_id === 'string' && key.user_id !== userId) return 'foreign'
    if (isCrossSigningKey(key, userId, usage)) return key
    dropped.push(`${usage}_key has a bad shape`)
    return null
  }
  const masterKey = crossSigningKey('master')
  const selfSigningKey = crossSigningKey('self_signing')
  if (masterKey === 'foreign' || selfSigningKey === 'foreign') {
    return { ok: false, why: 'a cross-signing key is for another user' }
  }
  const snapshot = { streamId: body.stream_id as number, deviceKeys, keyless: [...keyless], masterKey, selfSigningKey }
  if (digestOf(snapshot) === undefined) return { ok: false, why: 'a key has no canonical form' }
  return { ok: true, snapshot, dropped }
}

/** @returns the device, or in words what is wrong with it */
function readDevice(
  device: unknown,
  userId: UserId,
  keepDisplayNames: boolean,
): { deviceId: string; keys: JsonObject | undefined } | string {
  if (!isObject(device) || typeof device.device_id !== 'string') return 'a device has no device_id'
  const { device_id: deviceId, keys, device_display_name: name } = device
  if (keys === undefined || keys === null || (isObject(keys) && Object.keys(keys).length === 0)) {
    return { deviceId, keys: undefined }
  }
  const read = readDeviceKeys(keys, userId, deviceId, keepDisplayNames ? name : undefined)
  return read ? { deviceId, keys: read } : 'the keys of a device do not name that user and device'
}

/**
 * One device's keys as `/keys/query` answers them: the remote's `unsigned` replaced by the display name.
 * @returns `undefined` unless the keys name that user and device
 */
export function readDeviceKeys(
  keys: unknown,
  userId: UserId,
  deviceId: string,
  displayName: unknown,
): JsonObject | undefined {
  if (!isObject(keys) || keys.user_id !== userId || keys.device_id !== deviceId || !isObject(keys.keys))
    return undefined
  const { unsigned: _, ...signed } = keys
  return typeof displayName === 'string' ? { ...signed, unsigned: { device_display_name: displayName } } : signed
}

/** Whether `key` is a cross-signing key of that user with exactly one public key. Client-server API, "Cross-signing". */
export function isCrossSigningKey(key: unknown, userId: UserId, usage: 'master' | 'self_signing'): key is JsonObject {
  if (!isObject(key) || key.user_id !== userId || !isObject(key.keys)) return false
  if (!Array.isArray(key.usage) || !key.usage.includes(usage)) return false
  const publicKeys = Object.entries(key.keys)
  return publicKeys.length === 1 && typeof publicKeys[0]![1] === 'string' && publicKeys[0]![0].includes(':')
}

/**
 * What two lists are compared by: SHA-256 over canonical JSON of what both `/user/devices` and `/user/keys/query`
 * tell, which is device IDs with their keys without `unsigned`, and the master and self-signing key.
 * @returns `undefined` if something in it has no canonical form
 */
export function digestOf(list: Pick<Snapshot, 'deviceKeys' | 'masterKey' | 'selfSigningKey'>): string | undefined {
  const devices = [...list.deviceKeys].map(([id, { unsigned: _, ...keys }]) => [id, keys] as const)
  const text = canonicalJson([
    Object.fromEntries(devices),
    withoutUnsigned(list.masterKey),
    withoutUnsigned(list.selfSigningKey),
  ])
  return text === undefined ? undefined : createHash('sha256').update(text).digest('base64url')
}

function withoutUnsigned(key: JsonObject | null): JsonObject | null {
  if (key === null) return null
  const { unsigned: _, ...signed } = key
  return signed
}

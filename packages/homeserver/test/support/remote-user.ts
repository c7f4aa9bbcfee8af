import type { Edu } from '../../src/matrix/federation.ts'
import { entriesOf, type JsonObject } from '../../src/matrix/json.ts'
import type { Random } from '../../src/platform/random.ts'
import { createTestDevice, createTestIdentity, type TestDevice, type TestIdentity } from './test-keys.ts'

/** A device of a remote user. Without `deviceKeys` it has uploaded none. */
export type RemoteDevice = { deviceKeys: JsonObject | undefined; displayName: string | undefined; keys: TestDevice }

/**
 * A user of a scripted remote with a true device list. Whatever changes it returns the EDU that a real server would send
 * of it, with the right `prev_id`: a test sends it, or hides the change by not sending it.
 */
export type RemoteUser = {
  readonly userId: string
  readonly devices: ReadonlyMap<string, RemoteDevice>
  /** The version of the list; every change of a device raises it by one. A test may set it. */
  streamId: number
  addDevice(deviceId: string, options?: { displayName?: string; withoutKeys?: boolean }): Edu
  renameDevice(deviceId: string, displayName: string): Edu
  /** New identity keys for a device that exists. */
  replaceKeys(deviceId: string): Edu
  removeDevice(deviceId: string): Edu
  /** Makes new cross-signing keys; no device is signed by them yet. */
  setCrossSigning(): Edu
  /** Adds the signature of the self-signing key to a device's keys. */
  signDevice(deviceId: string): Edu
  readonly identity: TestIdentity | undefined
  /** The `m.signing_key_update` of the cross-signing keys as they are. */
  signingKeyUpdate(): Edu
  /** The answer to `GET /user/devices/{userId}`. */
  list(): JsonObject
  /** This user's part of the answer to `POST /user/keys/query`. @param deviceIds an empty list means all */
  keysOf(deviceIds: unknown): JsonObject
  /** This user's part of the answer to `POST /user/keys/claim`. @param wanted from device ID to algorithm */
  claim(wanted: unknown): JsonObject
}

export function createRemoteUser(random: Random, userId: string): RemoteUser {
  const devices = new Map<string, RemoteDevice>()
  let streamId = 0
  let identity: TestIdentity | undefined

  function update(deviceId: string, device: RemoteDevice | undefined): Edu {
    const prevId = streamId === 0 ? [] : [streamId]
    if (device) devices.set(deviceId, device)
    else if (!devices.delete(deviceId)) throw new Error(`${userId} has no device ${deviceId}`)
    const what = device ? described(device) : { deleted: true }
    const content = { user_id: userId, device_id: deviceId, stream_id: ++streamId, prev_id: prevId, ...what }
    return { edu_type: 'm.device_list_update', content }
  }

  function existing(deviceId: string): RemoteDevice {
    const device = devices.get(deviceId)
    if (!device) throw new Error(`${userId} has no device ${deviceId}`)
    return device
  }

  function signingKeyUpdate(): Edu {
    if (!identity) throw new Error(`${userId} has no cross-signing keys`)
    const content = { user_id: userId, master_key: identity.masterKey, self_signing_key: identity.selfSigningKey }
    return { edu_type: 'm.signing_key_update', content }
  }

  return {
    userId,
    devices,
    get streamId() {
      return streamId
    },
    set streamId(value) {
      streamId = value
    },
    get identity() {
      return identity
    },
    addDevice(deviceId, { displayName, withoutKeys = false } = {}) {
      const keys = createTestDevice(random, userId, deviceId)
      return update(deviceId, { deviceKeys: withoutKeys ? undefined : keys.deviceKeys, displayName, keys })
    },
    renameDevice: (deviceId, displayName) => update(deviceId, { ...existing(deviceId), displayName }),
    replaceKeys(deviceId) {
      const keys = createTestDevice(random, userId, deviceId)
      return update(deviceId, { ...existing(deviceId), deviceKeys: keys.deviceKeys, keys })
    },
    removeDevice: (deviceId) => update(deviceId, undefined),
    setCrossSigning() {
      identity = createTestIdentity(random, userId)
      return signingKeyUpdate()
    },
    signingKeyUpdate,
    signDevice(deviceId) {
      const device = existing(deviceId)
      if (!identity || !device.deviceKeys) throw new Error(`nothing to sign ${deviceId} with, or nothing to sign`)
      return update(deviceId, { ...device, deviceKeys: identity.sign(device.deviceKeys) })
    },
    list: () => ({
      user_id: userId,
      stream_id: streamId,
      devices: [...devices].map(([deviceId, device]) => ({ device_id: deviceId, ...described(device) })),
      ...(identity ? { master_key: identity.masterKey, self_signing_key: identity.selfSigningKey } : {}),
    }),
    keysOf(deviceIds) {
      const all = Array.isArray(deviceIds) && deviceIds.length === 0
      const wanted = (deviceId: string) => all || (Array.isArray(deviceIds) && deviceIds.includes(deviceId))
      return Object.fromEntries(
        [...devices].flatMap(([deviceId, { deviceKeys, displayName }]) =>
          deviceKeys && wanted(deviceId) ? [[deviceId, { ...deviceKeys, ...unsigned(displayName) }]] : [],
        ),
      )
    },
    claim: (wanted) =>
      Object.fromEntries(
        entriesOf(wanted).flatMap(([deviceId]) => {
          const device = devices.get(deviceId)
          return device?.deviceKeys ? [[deviceId, Object.fromEntries([device.keys.oneTimeKey()])]] : []
        }),
      ),
  }
}

function unsigned(displayName: string | undefined): JsonObject {
  return displayName === undefined ? {} : { unsigned: { device_display_name: displayName } }
}

function described({ deviceKeys, displayName }: RemoteDevice): JsonObject {
  return {
    ...(deviceKeys ? { keys: deviceKeys } : {}),
    ...(displayName === undefined ? {} : { device_display_name: displayName }),
  }
}

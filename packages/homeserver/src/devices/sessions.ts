import { createHash } from 'node:crypto'
import type { UserId } from '../matrix/ids.ts'
import { opaqueId } from '../platform/random.ts'
import * as storage from '../storage/devices.ts'
import type { Tx } from '../storage/store.ts'
import type { DeviceParts } from './ports.ts'
import type { Requester } from './requester.ts'

/** When and where a device was seen last is written at most this often (ms). */
const SEEN_INTERVAL_MS = 5 * 60_000
const DEVICE_ID_LENGTH = 10
const DEVICE_ID_LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'

export type Sessions = {
  /** Whose request it is. @returns `undefined` for a token that is not (or no longer) good */
  authenticate(token: string, ip: string): Promise<Requester | undefined>
  /**
   * Logs a device in, making it where it is not there yet. A device that logs in again keeps its keys and loses its
   * older token. Client-server API, "Relationship between access tokens and devices".
   */
  createSession(
    tx: Tx,
    userId: UserId,
    device: { deviceId: string | undefined; displayName: string | undefined },
  ): Promise<{ deviceId: string; accessToken: string }>
  /** Ends a session: its device goes, with everything that belongs to it. */
  logout(requester: Requester): Promise<void>
  /** The same for all devices of a user. */
  logoutAll(userId: UserId): Promise<void>
}

/** Access tokens: opaque, kept as SHA-256, one a device. */
export function createSessions({ store, clock, random, lists }: DeviceParts): Sessions {
  function newDeviceId(): string {
    return Array.from(
      random.bytes(DEVICE_ID_LENGTH),
      (byte) => DEVICE_ID_LETTERS[byte % DEVICE_ID_LETTERS.length],
    ).join('')
  }

  async function end(userId: UserId, deviceIds: readonly string[]): Promise<void> {
    await store.transaction(async (tx) => {
      const gone = await storage.deleteDevices(tx.db, userId, deviceIds)
      if (gone.length > 0) await lists.deviceChanged(tx, userId, gone)
    })
  }

  return {
    async authenticate(token, ip) {
      const owner = await storage.tokenOwner(store.db, hashOf(token))
      if (!owner) return undefined
      const { user_id: userId, device_id: deviceId } = owner
      const now = clock.now()
      const seen = owner.last_seen_at ?? 0
      if (owner.last_seen_ip !== ip || now - seen > SEEN_INTERVAL_MS || seen > now) {
        await storage.updateDevice(store.db, userId, deviceId, { last_seen_ip: ip, last_seen_at: now })
      }
      return { userId, deviceId, isAdmin: owner.is_admin === 1, isGuest: owner.is_guest === 1 }
    },
    async createSession(tx, userId, device) {
      const now = clock.now()
      const deviceId = device.deviceId ?? newDeviceId()
      const accessToken = `evergreen_${opaqueId(random, 32)}`
      const displayName = device.displayName ?? null
      const isNew = await storage.addDevice(tx.db, { userId, deviceId, displayName, now })
      await storage.replaceToken(tx.db, { tokenHash: hashOf(accessToken), userId, deviceId, now })
      if (isNew) await lists.deviceChanged(tx, userId, [deviceId])
      return { deviceId, accessToken }
    },
    logout: ({ userId, deviceId }) => end(userId, [deviceId]),
    async logoutAll(userId) {
      const devices = await storage.devicesOf(store.db, userId)
      await end(
        userId,
        devices.map((device) => device.device_id),
      )
    },
  }
}

/** Tokens are random, so a plain hash keeps them: there is nothing to guess. */
function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('base64url')
}

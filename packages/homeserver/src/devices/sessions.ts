import { invalidParam, userLocked } from '../matrix/errors.ts'
import type { UserId } from '../matrix/ids.ts'
import { verifyKeyFrom } from '../matrix/signing.ts'
import { opaqueId, tokenHash } from '../platform/random.ts'
import * as tokens from '../storage/access-tokens.ts'
import { findAccount } from '../storage/accounts.ts'
import { crossSigningKeys } from '../storage/cross-signing.ts'
import * as storage from '../storage/devices.ts'
import type { Tx } from '../storage/store.ts'
import type { DeviceParts } from './ports.ts'
import type { Requester } from './requester.ts'

/** When and where a device was seen last is written at most this often (ms). */
const SEEN_INTERVAL_MS = 5 * 60_000
/** How long an access token is good that can be renewed (ms). */
const RENEWABLE_MS = 5 * 60_000
const DEVICE_ID_LENGTH = 10
const DEVICE_ID_LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'

/** A device that is logged in; the rest only if it can renew its access token. */
type Session = { deviceId: string; accessToken: string; refreshToken?: string; expiresInMs?: number }

type DeviceWish = { deviceId: string | undefined; displayName: string | undefined; renewable?: boolean | undefined }

export type Sessions = {
  /**
   * Whose request it is. Where it comes from is noted now and then.
   * @returns `expired` for a token that can be renewed, `undefined` for one that is not (or no longer) good
   */
  authenticate(
    token: string,
    from: { ip: string; userAgent: string | undefined },
  ): Promise<Requester | 'expired' | undefined>
  /**
   * Logs a device in, making it where it is not there yet. A device that logs in again keeps its keys and loses its
   * older tokens. Client-server API, "Relationship between access tokens and devices".
   * @throws `M_INVALID_PARAM` for a device ID that is a cross-signing key of the user
   */
  createSession(tx: Tx, userId: UserId, device: DeviceWish): Promise<Session>
  /**
   * Gives new tokens for a refresh token. The old ones stay good until one of the new is used, since the answer may be lost.
   * Client-server API, "Refreshing access tokens".
   * @returns `undefined` for a refresh token that is not (or no longer) good
   * @throws `M_USER_LOCKED`
   */
  renewSession(refreshToken: string): Promise<Session | undefined>
  /** Ends a session: its device goes, with everything that belongs to it. */
  logout(requester: Requester): Promise<void>
  /** The same for all devices of a user, but for one if it is named; as part of a transaction. */
  endSessions(tx: Tx, userId: UserId, but?: string): Promise<void>
  logoutAll(userId: UserId): Promise<void>
}

/** Tokens are opaque and kept as SHA-256; one access token a device, while it is renewed two. */
export function createSessions({ store, clock, random, lists }: DeviceParts): Sessions {
  function newDeviceId(): string {
    return Array.from(
      random.bytes(DEVICE_ID_LENGTH),
      (byte) => DEVICE_ID_LETTERS[byte % DEVICE_ID_LETTERS.length],
    ).join('')
  }

  async function isCrossSigningKey(tx: Tx, userId: UserId, deviceId: string): Promise<boolean> {
    if (!verifyKeyFrom(deviceId)) return false
    // Before they are read: from here to the commit nobody uploads one.
    await tx.position()
    const keys = await crossSigningKeys(tx.db, [userId])
    return keys.some(({ key }) => Object.hasOwn(JSON.parse(key).keys, `ed25519:${deviceId}`))
  }

  async function end(tx: Tx, userId: UserId, deviceIds: readonly string[]): Promise<void> {
    const gone = await storage.deleteDevices(tx.db, userId, deviceIds)
    if (gone.length > 0) await lists.deviceChanged(tx, userId, gone)
  }

  async function addTokens(
    tx: Tx,
    {
      userId,
      deviceId,
      renewable,
      replaces,
    }: { userId: UserId; deviceId: string; renewable: boolean; replaces: string | null },
  ): Promise<Session> {
    const accessToken = `evergreen_${opaqueId(random, 32)}`
    const refreshToken = `evergreen_refresh_${opaqueId(random, 32)}`
    const now = clock.now()
    await tokens.addToken(tx.db, {
      token_hash: tokenHash(accessToken),
      user_id: userId,
      device_id: deviceId,
      created_at: now,
      expires_at: renewable ? now + RENEWABLE_MS : null,
      refresh_hash: renewable ? tokenHash(refreshToken) : null,
      replaces,
    })
    return { deviceId, accessToken, ...(renewable ? { refreshToken, expiresInMs: RENEWABLE_MS } : {}) }
  }

  async function endSessions(tx: Tx, userId: UserId, but?: string): Promise<void> {
    const devices = await storage.devicesOf(tx.db, userId)
    const ending = devices.map((device) => device.device_id).filter((deviceId) => deviceId !== but)
    await end(tx, userId, ending)
  }

  return {
    async authenticate(token, { ip, userAgent }) {
      const hash = tokenHash(token)
      const owner = await tokens.tokenOwner(store.db, hash)
      if (!owner) return undefined
      const { user_id: userId, device_id: deviceId, expires_at: expiresAt, replaces } = owner
      const now = clock.now()
      if (expiresAt !== null && expiresAt <= now) return 'expired'
      if (replaces !== null) await store.transaction((tx) => tokens.endReplaced(tx.db, { tokenHash: hash, replaces }))
      const seen = owner.last_seen_at ?? 0
      if (owner.last_seen_ip !== ip || now - seen > SEEN_INTERVAL_MS || seen > now) {
        const seenNow = { last_seen_ip: ip, last_seen_at: now, last_seen_user_agent: userAgent?.slice(0, 255) ?? null }
        await storage.updateDevice(store.db, userId, deviceId, seenNow)
      }
      const { is_admin: admin, is_guest: guest, locked, suspended } = owner
      const flags = { isAdmin: admin === 1, isGuest: guest === 1, isLocked: locked === 1, isSuspended: suspended === 1 }
      return { userId, deviceId, ...flags }
    },

    async createSession(tx, userId, { deviceId = newDeviceId(), displayName = null, renewable = false }) {
      if (await isCrossSigningKey(tx, userId, deviceId)) throw invalidParam('The device ID is a cross-signing key')
      const isNew = await storage.addDevice(tx.db, { userId, deviceId, displayName, now: clock.now() })
      await tokens.removeTokens(tx.db, userId, deviceId)
      const session = await addTokens(tx, { userId, deviceId, renewable, replaces: null })
      if (isNew) await lists.deviceChanged(tx, userId, [deviceId])
      return session
    },

    renewSession: (refreshToken) =>
      store.transaction(async (tx) => {
        const old = await tokens.tokenToRenew(tx.db, tokenHash(refreshToken))
        if (!old) return undefined
        if ((await findAccount(tx.db, old.user_id))?.locked === 1) throw userLocked()
        // Asking with it says that it has arrived, as using the access token does.
        if (old.replaces !== null)
          await tokens.endReplaced(tx.db, { tokenHash: old.token_hash, replaces: old.replaces })
        await tokens.removeReplacement(tx.db, old.token_hash)
        const { user_id: userId, device_id: deviceId, token_hash: replaces } = old
        return addTokens(tx, { userId, deviceId, renewable: true, replaces })
      }),

    logout: ({ userId, deviceId }) => store.transaction((tx) => end(tx, userId, [deviceId])),
    endSessions,
    logoutAll: (userId) => store.transaction((tx) => endSessions(tx, userId)),
  }
}

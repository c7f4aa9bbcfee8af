import type { UserId } from '../matrix/ids.ts'
import type { Tx } from '../storage/store.ts'

/** What a client says of the device that it runs on. `renewable`: it can renew an access token that expires. */
export type DeviceWish = {
  deviceId: string | undefined
  displayName: string | undefined
  renewable?: boolean | undefined
}

/** A device that is logged in; the rest only if it can renew its access token. */
export type Session = { deviceId: string; accessToken: string; refreshToken?: string; expiresInMs?: number }

/** What accounts need of devices. */
export type Sessions = {
  /** An access token for a device, which is made if it is not there yet. */
  createSession(tx: Tx, userId: UserId, device: DeviceWish): Promise<Session>
  /** Logs all devices of a user out, but for one if it is named. */
  endSessions(tx: Tx, userId: UserId, but?: string): Promise<void>
}

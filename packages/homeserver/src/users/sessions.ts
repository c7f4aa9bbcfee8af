import type { UserId } from '../matrix/ids.ts'
import type { Tx } from '../storage/store.ts'

/** What a client says of the device that it runs on. */
export type DeviceWish = { deviceId: string | undefined; displayName: string | undefined }

/** A device that is logged in. */
export type Session = { deviceId: string; accessToken: string }

/** What accounts need of devices: an access token for a device, which is made if it is not there yet. */
export type Sessions = {
  createSession(tx: Tx, userId: UserId, device: DeviceWish): Promise<Session>
}

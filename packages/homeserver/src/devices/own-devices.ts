import type { UserId } from '../matrix/ids.ts'
import * as storage from '../storage/devices.ts'
import type { DeviceParts } from './ports.ts'

/** A device as its owner sees it. Client-server API, "Device Management". */
type Device = {
  device_id: string
  display_name?: string
  last_seen_ip?: string
  last_seen_ts?: number
}

/** `last_seen` in epoch ms. */
type Connection = { ip: string; last_seen: number; user_agent?: string }

export type OwnDevices = {
  list(userId: UserId): Promise<Device[]>
  get(userId: UserId, deviceId: string): Promise<Device | undefined>
  /** Where each device was seen last, if it was. Client-server API, "Server Administration". */
  connections(userId: UserId): Promise<[deviceId: string, connection: Connection | undefined][]>
  /** @returns `false` if there is no such device */
  rename(userId: UserId, deviceId: string, displayName: string): Promise<boolean>
  /** Deletes devices; those that are not there count as deleted. */
  delete(userId: UserId, deviceIds: readonly string[]): Promise<void>
}

/** A user's own view of their devices. */
export function createOwnDevices({ store, lists }: DeviceParts): OwnDevices {
  return {
    async list(userId) {
      return (await storage.devicesOf(store.db, userId)).map(deviceOf)
    },
    async get(userId, deviceId) {
      const row = await storage.findDevice(store.db, userId, deviceId)
      return row && deviceOf(row)
    },
    async connections(userId) {
      return (await storage.devicesOf(store.db, userId)).map((row) => [row.device_id, connectionOf(row)])
    },
    rename: (userId, deviceId, displayName) =>
      store.transaction(async (tx) => {
        const row = await storage.findDevice(tx.db, userId, deviceId)
        if (!row) return false
        if (row.display_name === displayName) return true
        await storage.updateDevice(tx.db, userId, deviceId, { display_name: displayName })
        await lists.deviceChanged(tx, userId, [deviceId])
        return true
      }),
    delete: (userId, deviceIds) =>
      store.transaction(async (tx) => {
        const gone = await storage.deleteDevices(tx.db, userId, deviceIds)
        if (gone.length > 0) await lists.deviceChanged(tx, userId, gone)
      }),
  }
}

function deviceOf(row: storage.DeviceRow): Device {
  return {
    device_id: row.device_id,
    ...(row.display_name === null ? {} : { display_name: row.display_name }),
    ...(row.last_seen_ip === null ? {} : { last_seen_ip: row.last_seen_ip }),
    ...(row.last_seen_at === null ? {} : { last_seen_ts: row.last_seen_at }),
  }
}

function connectionOf(row: storage.DeviceRow): Connection | undefined {
  const { last_seen_ip: ip, last_seen_at: lastSeen, last_seen_user_agent: userAgent } = row
  if (ip === null || lastSeen === null) return undefined
  return { ip, last_seen: lastSeen, ...(userAgent === null ? {} : { user_agent: userAgent }) }
}

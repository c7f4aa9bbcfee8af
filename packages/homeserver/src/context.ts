import type { Settings } from './config/settings.ts'
import type { DeviceLists } from './device-lists/engine.ts'
import type { Devices } from './devices/devices.ts'
import type { Ephemeral } from './ephemeral/ephemeral.ts'
import type { Federation } from './federation/federation.ts'
import type { Transactions } from './federation/transactions.ts'
import type { KeyBackup } from './key-backup/key-backup.ts'
import type { Media } from './media/media.ts'
import type { Clock } from './platform/clock.ts'
import type { Logger } from './platform/logger.ts'
import type { Random } from './platform/random.ts'
import type { Rooms } from './rooms/rooms.ts'
import type { Store } from './storage/store.ts'
import type { OldSync } from './sync/old-sync.ts'
import type { Sync } from './sync/sync.ts'
import type { ToDevice } from './to-device/to-device.ts'
import type { Users } from './users/users.ts'

/** What a route may use: one object per feature, and the few things below them. */
export type Context = {
  settings: Settings
  clock: Clock
  random: Random
  log: Logger
  store: Store
  /** Where clients reach this server: `https://…`, without a slash at the end. */
  baseUrl(): string
  /** Aborted when the server stops: whoever waits ends with what there is. */
  shutdown: AbortSignal
  users: Users
  devices: Devices
  keyBackup: KeyBackup
  toDevice: ToDevice
  deviceLists: DeviceLists
  federation: Federation
  transactions: Transactions
  rooms: Rooms
  media: Media
  ephemeral: Ephemeral
  sync: Sync
  oldSync: OldSync
}

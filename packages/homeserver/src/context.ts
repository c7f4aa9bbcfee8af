import type { Settings } from './config/settings.ts'
import type { Requester } from './devices/requester.ts'
import type { UserId } from './matrix/ids.ts'
import type { Clock } from './platform/clock.ts'
import type { Logger } from './platform/logger.ts'
import type { Store } from './storage/store.ts'
import type { Users } from './users/users.ts'

/** What a route may use: one object per feature, and the few things below them. */
export type Context = {
  settings: Settings
  clock: Clock
  log: Logger
  store: Store
  /** Where clients reach this server: `https://…`, without a slash at the end. */
  baseUrl(): string
  users: Users
  devices: {
    authenticate(token: string, ip: string): Promise<Requester | undefined>
    logout(requester: Requester): Promise<void>
    logoutAll(userId: UserId): Promise<void>
  }
}

import type { Settings } from './config/settings.ts'
import type { Requester } from './devices/requester.ts'
import type { Clock } from './platform/clock.ts'
import type { Logger } from './platform/logger.ts'
import type { Store } from './storage/store.ts'

/** What a route may use: one object per feature, and the few things below them. */
export type Context = {
  settings: Settings
  clock: Clock
  log: Logger
  store: Store
  devices: { authenticate(token: string, ip: string): Promise<Requester | undefined> }
}

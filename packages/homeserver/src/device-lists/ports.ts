import type { DeviceListSettings } from '../config/settings.ts'
import type { FederationAnswer, FederationRequest } from '../matrix/federation.ts'
import type { ServerName, UserId } from '../matrix/ids.ts'
import type { Clock } from '../platform/clock.ts'
import type { Logger } from '../platform/logger.ts'
import type { Random } from '../platform/random.ts'
import type { Store } from '../storage/store.ts'
import type { SharedRooms } from './tracking.ts'

/** What device lists need of the transport to other servers. */
type Transport = {
  request(destination: ServerName, request: FederationRequest): Promise<FederationAnswer>
  /** Whether the settings let us talk to this server. */
  isAllowed(destination: ServerName): boolean
  /** What holds requests to a destination back; times in epoch ms. */
  backoffOf(destination: ServerName): Promise<{
    failures: number
    nextAttemptAt: number | null
    retryAfterUntil: number | null
    lastError: string | null
  }>
}

/** What is counted while it happens; what can be read off the database is read there. */
export type DeviceListMetrics = {
  /** @param outcome the kind of failure, or `fresh` */
  resyncEnded(outcome: string): void
  /** A list was right again after so many milliseconds of doubt. */
  becameFresh(afterMs: number): void
  /** An audit found a list that differed from its owner's. */
  auditDrift(): void
}

/** What every part of the engine is built with. */
export type EngineParts = {
  store: Store
  clock: Clock
  random: Random
  log: Logger
  serverName: ServerName
  settings: DeviceListSettings
  rateLimits: boolean
  transport: Transport
  sharedRooms: SharedRooms
  metrics: DeviceListMetrics
  /** Whether one of our own accounts has this name. */
  localUserExists(userId: UserId): Promise<boolean>
}

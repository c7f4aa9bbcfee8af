import type { ServerName } from '../matrix/ids.ts'

/** Where a listener listens. */
export type ListenAddress = { host: string; port: number }

/** Every setting in force, checked. Times are in milliseconds. `docs/configuration.md` tells what each is for. */
export type Settings = {
  serverName: ServerName
  dataDir: string
  /** `postgres://…`; without it SQLite in the data folder. */
  databaseUrl: string | undefined
  listen: ListenAddress
  tlsListen: ListenAddress | undefined
  /** PEM files; without them a self-made certificate in the data folder. */
  tlsCert: string | undefined
  tlsKey: string | undefined
  publicBaseUrl: string | undefined
  federation: { caFile: string | undefined; allowPrivate: boolean; deny: string[]; allow: string[] }
  registration: 'closed' | 'token' | 'open'
  registrationToken: string | undefined
  rateLimits: boolean
  passwordHash: 'recommended' | 'test'
  log: { level: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace'; format: 'json' | 'pretty' }
  deviceLists: DeviceListSettings
}

/** Settings of the device-list engine, in milliseconds but for the two `fetches` and the bounds. */
export type DeviceListSettings = {
  refreshWait: number
  refreshCache: number
  fetchTimeout: number
  retryBase: number
  retryCapEarly: number
  retryCapWaited: number
  retryCap: number
  auditInterval: number
  silenceSuspect: number
  fetchesPerDestination: number
  fetches: number
  /** Refreshes per requester and user in 30 s. */
  refreshPerUser: number
  /** Refreshes per requester in a minute. */
  refreshPerRequester: number
  /** Requests that go out for refreshes, per destination and per address, in a minute. */
  refreshPerDestination: number
  /** One try per destination and this long, while it is backed off. */
  refreshRetryInterval: number
  /** Whether the names that remote users gave their devices are kept. */
  keepDisplayNames: boolean
}

import type { ServerName } from '../matrix/ids.ts'

/** Where a listener listens. Port 0 lets the system choose one. */
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
  /** Whose `X-Forwarded-For` is believed, besides this machine's own. */
  trustedProxies: string[]
  federationCaFile: string | undefined
  federationAllowPrivate: boolean
  federationDeny: string[]
  federationAllow: string[]
  federationNotaries: ServerName[]
  registration: 'closed' | 'token' | 'open'
  registrationToken: string | undefined
  registrationSharedSecret: string | undefined
  allowGuests: boolean
  rateLimits: boolean
  passwordHash: 'recommended' | 'test'
  defaultRoomVersion: string
  appserviceFiles: string[]
  metricsListen: ListenAddress | undefined
  logLevel: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace'
  logFormat: 'json' | 'pretty'
  deviceLists: DeviceListSettings
}

/** Settings of the device-list engine: milliseconds, but for counts and the flag. */
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
  refreshPerUser: number
  refreshPerRequester: number
  refreshPerDestination: number
  refreshRetryInterval: number
  keepDisplayNames: boolean
}

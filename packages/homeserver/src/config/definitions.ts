import { DEFAULT_ROOM_VERSION } from '../state/room-versions.ts'
import * as kinds from './kinds.ts'

/** One setting: how it is called in the file, what it is, and what it is if nobody says. The variable follows from the name. */
type Definition = {
  /** Path in the YAML file, such as `device_lists.refresh_wait`. */
  key: string
  kind: kinds.Kind<unknown>
  fallback: unknown
  /** Never printed. */
  secret?: true
  /** Takes no effect: what it is for is not built yet. */
  unbuilt?: true
}

const ms = kinds.whole(0, 'milliseconds')
const count = kinds.whole(1, 'things')

/** Every setting, in the order in which they are shown. `docs/configuration.md` describes each. */
const definitions = {
  serverName: { key: 'server_name', kind: kinds.serverName, fallback: 'localhost:8448' },
  dataDir: { key: 'data_dir', kind: kinds.text, fallback: './data' },
  databaseUrl: { key: 'database_url', kind: kinds.databaseUrl, fallback: undefined },
  listen: { key: 'listen', kind: kinds.address, fallback: { host: '127.0.0.1', port: 8008 } },
  tlsListen: { key: 'tls_listen', kind: kinds.addressOrOff, fallback: { host: '127.0.0.1', port: 8448 } },
  tlsCert: { key: 'tls_cert', kind: kinds.text, fallback: undefined },
  tlsKey: { key: 'tls_key', kind: kinds.text, fallback: undefined },
  publicBaseUrl: { key: 'public_base_url', kind: kinds.httpUrl, fallback: undefined },
  trustedProxies: { key: 'trusted_proxies', kind: kinds.list(',', kinds.addressRange), fallback: [] },
  federationCaFile: { key: 'federation_ca_file', kind: kinds.text, fallback: undefined },
  federationAllowPrivate: { key: 'federation_allow_private', kind: kinds.flag, fallback: false },
  federationDeny: { key: 'federation_deny', kind: kinds.list(','), fallback: [] },
  federationAllow: { key: 'federation_allow', kind: kinds.list(','), fallback: [] },
  federationNotaries: { key: 'federation_notaries', kind: kinds.list(',', kinds.serverName), fallback: [] },
  registration: { key: 'registration', kind: kinds.oneOf('closed', 'token', 'open'), fallback: 'token' },
  registrationToken: { key: 'registration_token', kind: kinds.secret, fallback: undefined, secret: true },
  registrationSharedSecret: {
    key: 'registration_shared_secret',
    kind: kinds.secret,
    fallback: undefined,
    secret: true,
  },
  allowGuests: { key: 'allow_guests', kind: kinds.flag, fallback: false },
  rateLimits: { key: 'rate_limits', kind: kinds.onOff, fallback: true },
  passwordHash: { key: 'password_hash', kind: kinds.oneOf('recommended', 'test'), fallback: 'recommended' },
  defaultRoomVersion: { key: 'default_room_version', kind: kinds.roomVersion, fallback: DEFAULT_ROOM_VERSION },
  appserviceFiles: { key: 'appservice_files', kind: kinds.list(':'), fallback: [], unbuilt: true },
  metricsListen: { key: 'metrics_listen', kind: kinds.addressOrOff, fallback: undefined },
  logLevel: {
    key: 'log_level',
    kind: kinds.oneOf('fatal', 'error', 'warn', 'info', 'debug', 'trace'),
    fallback: 'info',
  },
  logFormat: { key: 'log_format', kind: kinds.oneOf('json', 'pretty'), fallback: undefined },
} as const satisfies Record<string, Definition>

/** The settings of the device-list engine, under `device_lists:`. */
const deviceListDefinitions = {
  refreshWait: { key: 'refresh_wait', kind: ms, fallback: 5_000 },
  refreshCache: { key: 'refresh_cache', kind: ms, fallback: 30_000 },
  fetchTimeout: { key: 'fetch_timeout', kind: kinds.whole(1, 'milliseconds'), fallback: 30_000 },
  retryBase: { key: 'retry_base', kind: kinds.whole(1, 'milliseconds'), fallback: 2_000 },
  retryCapEarly: { key: 'retry_cap_early', kind: kinds.whole(1, 'milliseconds'), fallback: 20_000 },
  retryCapWaited: { key: 'retry_cap_waited', kind: kinds.whole(1, 'milliseconds'), fallback: 600_000 },
  retryCap: { key: 'retry_cap', kind: kinds.whole(1, 'milliseconds'), fallback: 3_600_000 },
  auditInterval: { key: 'audit_interval', kind: ms, fallback: 86_400_000 },
  silenceSuspect: { key: 'silence_suspect', kind: ms, fallback: 900_000 },
  fetchesPerDestination: { key: 'fetches_per_destination', kind: count, fallback: 10 },
  fetches: { key: 'fetches', kind: count, fallback: 100 },
  refreshPerUser: { key: 'refresh_per_user', kind: count, fallback: 5 },
  refreshPerRequester: { key: 'refresh_per_requester', kind: count, fallback: 30 },
  refreshPerDestination: { key: 'refresh_per_destination', kind: count, fallback: 60 },
  refreshRetryInterval: { key: 'refresh_retry_interval', kind: ms, fallback: 10_000 },
  keepDisplayNames: { key: 'keep_display_names', kind: kinds.flag, fallback: true },
} as const satisfies Record<string, Definition>

/** A definition with its place in `Settings` and its two names. */
export type PlacedDefinition = Definition & { path: readonly string[]; name: string; variable: string }

/** All definitions in one list. `name` is the dotted path in the file. */
export const allDefinitions: readonly PlacedDefinition[] = [
  ...Object.entries<Definition>(definitions).map(([property, definition]) =>
    placed([property], definition.key, definition),
  ),
  ...Object.entries<Definition>(deviceListDefinitions).map(([property, definition]) =>
    placed(['deviceLists', property], `device_lists.${definition.key}`, definition),
  ),
]

function placed(path: readonly string[], name: string, definition: Definition): PlacedDefinition {
  return { ...definition, path, name, variable: `EVERGREEN_${name.replace('.', '_').toUpperCase()}` }
}

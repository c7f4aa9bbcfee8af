import type { FederationRequest } from '../matrix/federation.ts'
import type { ServerName } from '../matrix/ids.ts'
import type { SigningKey } from '../matrix/signing.ts'
import type { Platform } from '../platform/platform.ts'
import type { Store } from '../storage/store.ts'
import { createFederationClient, type FederationClient } from './client.ts'
import { createDestinations, type DestinationSettings, type Destinations } from './destinations.ts'
import { createDiscovery } from './discovery.ts'
import { createKeyRing, type KeyRing } from './key-ring.ts'
import { createNotary } from './notary.ts'
import { type OldKey, ownVerifyKeys, publishedKeys } from './own-keys.ts'
import { serverFilter } from './server-filter.ts'

/** The transport to other servers, without what travels on it. */
export type Federation = FederationClient & {
  destinations: Destinations
  keyRing: KeyRing
  /** The answer to `GET /_matrix/key/v2/server`. */
  publishedKeys(): object
  /** Other servers' keys, vouched for. */
  notary: ReturnType<typeof createNotary>
  request(destination: ServerName, request: FederationRequest): ReturnType<FederationClient['request']>
}

export type FederationSettings = {
  allowPrivate: boolean
  /** Server names; `*` stands for any characters. Deny wins; an empty `allow` allows everybody. */
  deny: readonly string[]
  allow: readonly string[]
  retries: DestinationSettings
  /** Servers that are asked for the keys of others that cannot be asked. */
  notaries?: readonly ServerName[]
  /** `false` turns our own limits off. */
  rateLimits?: boolean
  /** Keys that this server signed with once. */
  oldKeys?: readonly OldKey[]
}

/** Puts discovery, back-off, keys and the signing client together. */
export function createFederation(parts: {
  store: Store
  platform: Platform
  serverName: ServerName
  signingKey: SigningKey
  settings: FederationSettings
}): Federation {
  const { store, platform, serverName, signingKey, settings } = parts
  const { clock, random, network, log } = platform
  const discovery = createDiscovery({ network, clock, random, allowPrivate: settings.allowPrivate })
  const destinations = createDestinations({ store, clock, random, settings: settings.retries })
  const isAllowed = serverFilter(settings.deny, settings.allow)
  const client = createFederationClient({ clock, network, discovery, destinations, serverName, signingKey, isAllowed })
  const own = { serverName, keys: ownVerifyKeys(signingKey, settings.oldKeys) }
  const keyRing = createKeyRing({
    store,
    clock,
    network,
    discovery,
    log,
    own,
    isAllowed,
    notaries: settings.notaries ?? [],
    rateLimits: settings.rateLimits ?? true,
  })
  const published = () => publishedKeys(serverName, signingKey, clock.now(), settings.oldKeys)
  const notary = createNotary({ store, clock, serverName, signingKey, keyRing, isAllowed, publishedKeys: published })
  return { ...client, destinations, keyRing, notary, publishedKeys: published }
}

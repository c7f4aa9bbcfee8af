import type { FederationRequest } from '../matrix/federation.ts'
import { parseServerName, type ServerName } from '../matrix/ids.ts'
import type { SigningKey } from '../matrix/signing.ts'
import type { Platform } from '../platform/platform.ts'
import type { Store } from '../storage/store.ts'
import { createFederationClient, type FederationClient } from './client.ts'
import { createDestinations, type DestinationSettings, type Destinations } from './destinations.ts'
import { createDiscovery } from './discovery.ts'
import { createKeyRing, type KeyRing } from './key-ring.ts'
import { publishedKeys } from './own-keys.ts'

/** The transport to other servers, without what travels on it. */
export type Federation = FederationClient & {
  destinations: Destinations
  keyRing: KeyRing
  /** The answer to `GET /_matrix/key/v2/server`. */
  publishedKeys(): object
  request(destination: ServerName, request: FederationRequest): ReturnType<FederationClient['request']>
}

export type FederationSettings = {
  allowPrivate: boolean
  /** Server names; `*` stands for any characters. Deny wins; an empty `allow` allows everybody. */
  deny: readonly string[]
  allow: readonly string[]
  retries: DestinationSettings
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
  const discovery = createDiscovery({ network, clock, allowPrivate: settings.allowPrivate })
  const destinations = createDestinations({ store, clock, random, settings: settings.retries })
  const isAllowed = serverFilter(settings)
  const client = createFederationClient({ clock, network, discovery, destinations, serverName, signingKey, isAllowed })
  const keyRing = createKeyRing({ store, clock, network, discovery, log })
  return { ...client, destinations, keyRing, publishedKeys: () => publishedKeys(serverName, signingKey, clock.now()) }
}

/** Whether the lists of the settings let a server through. A name without a port stands for all ports. */
function serverFilter({ deny, allow }: Pick<FederationSettings, 'deny' | 'allow'>): (name: ServerName) => boolean {
  const patterns = (list: readonly string[]) =>
    list.map((entry) => new RegExp(`^${entry.toLowerCase().split('*').map(RegExp.escape).join('.*')}$`))
  const [denied, allowed] = [patterns(deny), patterns(allow)]
  const matches = (list: RegExp[], name: ServerName) => {
    const host = parseServerName(name)?.host ?? ''
    return list.some((pattern) => pattern.test(name.toLowerCase()) || pattern.test(host.toLowerCase()))
  }
  return (name) => !matches(denied, name) && (allowed.length === 0 || matches(allowed, name))
}

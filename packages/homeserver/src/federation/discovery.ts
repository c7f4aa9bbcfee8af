import { isIP } from 'node:net'
import { LRUCache } from 'lru-cache'
import { parseServerName, type ServerName, type ServerNameParts } from '../matrix/ids.ts'
import { isObject, tryParseJson } from '../matrix/json.ts'
import type { Clock } from '../platform/clock.ts'
import { type HttpResponse, type Network, NetworkError } from '../platform/network.ts'
import { isPublicAddress } from './addresses.ts'
import { wellKnownLifetime } from './well-known.ts'

/** Where requests for a server go, all of it checked. */
export type Route = { addresses: string[]; port: number; tlsName: string; host: string }

export type Discovery = {
  /** @throws {NetworkError} `name` if it leads nowhere, `forbidden_address` if it leads where we may not go */
  resolve(serverName: ServerName): Promise<Route>
}

const MATRIX_PORT = 8448
const CACHED_SERVERS = 5_000
/** How long resolved addresses are used, in milliseconds. */
const ADDRESSES_MS = 60_000
const WELL_KNOWN_TIMEOUT_MS = 10_000
const WELL_KNOWN_BYTES = 50 * 1024
const MAX_REDIRECTS = 5

type Cached<T> = { value: T; until: number }

/**
 * Finds where a server is reached. Server-server API, "Resolving server names".
 * @param allowPrivate whether loopback and private addresses may be reached
 */
export function createDiscovery(parts: { network: Network; clock: Clock; allowPrivate: boolean }): Discovery {
  const { network, clock, allowPrivate } = parts
  const routes = new LRUCache<ServerName, Cached<Promise<Route>>>({ max: CACHED_SERVERS })
  const delegations = new LRUCache<string, Cached<Promise<string | undefined>>>({ max: CACHED_SERVERS })

  async function addressesOf(host: string): Promise<string[]> {
    const addresses = isIP(host) ? [host] : await network.dns.addresses(host)
    if (addresses.length === 0) throw new NetworkError('name', `${host} has no address`)
    const allowed = allowPrivate ? addresses : addresses.filter(isPublicAddress)
    if (allowed.length === 0) throw new NetworkError('forbidden_address', `${host} leads to a private address`)
    return allowed
  }

  /** Steps that a name takes before and after delegation: literal, explicit port, SRV, default port. */
  async function route(name: string, parsed: ServerNameParts): Promise<Route> {
    const { host, port, kind } = parsed
    if (kind !== 'name' || port !== undefined) {
      return { addresses: await addressesOf(host), port: port ?? MATRIX_PORT, tlsName: host, host: name }
    }
    const [record] = await srvRecords(host)
    if (!record) return { addresses: await addressesOf(host), port: MATRIX_PORT, tlsName: host, host: name }
    return { addresses: await addressesOf(record.name), port: record.port, tlsName: host, host: name }
  }

  async function srvRecords(host: string) {
    for (const service of ['_matrix-fed', '_matrix']) {
      const records = await network.dns.srv(`${service}._tcp.${host}`)
      if (records.length > 0) return records.toSorted((a, b) => a.priority - b.priority || b.weight - a.weight)
    }
    return []
  }

  async function find(serverName: ServerName): Promise<Route> {
    const parsed = parseServerName(serverName)!
    if (parsed.kind !== 'name' || parsed.port !== undefined) return route(serverName, parsed)
    const delegated = await delegation(parsed.host)
    const target = delegated === undefined ? undefined : parseServerName(delegated)
    return delegated !== undefined && target ? route(delegated, target) : route(serverName, parsed)
  }

  /** The server name in `.well-known`, remembered for as long as its headers and the specification say. */
  function delegation(host: string): Promise<string | undefined> {
    const now = clock.now()
    const known = delegations.get(host)
    if (known && known.until > now) return known.value
    const entry: Cached<Promise<string | undefined>> = { until: now + WELL_KNOWN_TIMEOUT_MS * 2, value: ask() }
    delegations.set(host, entry)
    return entry.value

    async function ask(): Promise<string | undefined> {
      const response = await fetchWellKnown(host).catch(() => undefined)
      const body = response?.status === 200 ? tryParseJson(response.body.toString('utf8')) : undefined
      const name = isObject(body) ? body['m.server'] : undefined
      const valid = typeof name === 'string' && parseServerName(name) ? name : undefined
      entry.until = clock.now() + wellKnownLifetime(response?.headers ?? {}, valid !== undefined, clock.now())
      return valid
    }
  }

  async function fetchWellKnown(host: string): Promise<HttpResponse> {
    let url = new URL(`https://${host}/.well-known/matrix/server`)
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      const hostname = url.hostname.replace(/^\[|\]$/g, '')
      const response = await network.http({
        method: 'GET',
        addresses: await addressesOf(hostname),
        port: url.port === '' ? 443 : Number(url.port),
        tlsName: hostname,
        host: url.host,
        path: url.pathname + url.search,
        headers: { accept: 'application/json' },
        timeoutMs: WELL_KNOWN_TIMEOUT_MS,
        maxBytes: WELL_KNOWN_BYTES,
      })
      const { location } = response.headers
      if (![301, 302, 303, 307, 308].includes(response.status) || location === undefined) return response
      url = new URL(location, url)
      if (url.protocol !== 'https:') throw new NetworkError('connection', 'redirected away from https')
    }
    throw new NetworkError('connection', 'redirected too often')
  }

  return {
    resolve(serverName) {
      const now = clock.now()
      const known = routes.get(serverName)
      if (known && known.until > now) return known.value
      const entry = { until: now + ADDRESSES_MS, value: find(serverName) }
      routes.set(serverName, entry)
      // A failure is not kept: the next request looks again.
      entry.value.catch(() => {
        if (routes.peek(serverName) === entry) routes.delete(serverName)
      })
      return entry.value
    },
  }
}

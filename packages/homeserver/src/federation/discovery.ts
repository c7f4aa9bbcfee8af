import { isIP } from 'node:net'
import { parseServerName, type ServerName, type ServerNameParts } from '../matrix/ids.ts'
import type { Clock } from '../platform/clock.ts'
import { createInFlight } from '../platform/in-flight.ts'
import { type Network, NetworkError } from '../platform/network.ts'
import type { Random } from '../platform/random.ts'
import { createTimedCache } from '../platform/timed-cache.ts'
import { isPublicAddress } from './addresses.ts'
import { createDelegations } from './delegation.ts'
import { srvOrder } from './srv.ts'

/** Where requests for a server go. The addresses are checked; `tlsName` and `host` are as `HttpRequest` has them. */
export type Route = { addresses: string[]; port: number; tlsName: string; host: string }

export type Discovery = {
  /** The route if it was found just now. */
  known(serverName: ServerName): Route | undefined
  /** @throws {NetworkError} `name` if it leads nowhere, `forbidden_address` if it leads where we may not go */
  resolve(serverName: ServerName): Promise<Route>
}

const MATRIX_PORT = 8448
const REMEMBERED_SERVERS = 5_000
/** How long resolved addresses are used (ms). */
const ADDRESSES_MS = 60_000
const MAX_ADDRESSES = 8
/** SRV targets that are looked at; those that share the first one's port are tried together. */
const MAX_TARGETS = 4

/**
 * Finds where a server is reached. Server-server API, "Resolving server names".
 * @param allowPrivate whether loopback, private and otherwise special addresses may be reached
 */
export function createDiscovery(parts: {
  network: Network
  clock: Clock
  random: Random
  allowPrivate: boolean
}): Discovery {
  const { network, clock, random, allowPrivate } = parts
  const routes = createTimedCache<Route>(clock, REMEMBERED_SERVERS)
  const finding = createInFlight<Route>()
  const delegatedName = createDelegations({ network, clock, checkedAddresses })

  async function checkedAddresses(host: string): Promise<string[]> {
    const addresses = isIP(host) ? [host] : await network.dns.addresses(host)
    if (addresses.length === 0) throw new NetworkError('name', `${host} has no address`)
    const allowed = allowPrivate ? addresses : addresses.filter(isPublicAddress)
    if (allowed.length === 0) throw new NetworkError('forbidden_address', `${host} has no public address`)
    return allowed.slice(0, MAX_ADDRESSES)
  }

  async function find(serverName: ServerName): Promise<Route> {
    const parsed = parseServerName(serverName)!
    if (isDirect(parsed)) return routeTo(serverName, parsed)
    const name = (await delegatedName(parsed.host)) ?? serverName
    return routeTo(name, parseServerName(name)!)
  }

  /** The steps that are the same with and without delegation: literal or port, SRV, default port. */
  async function routeTo(name: ServerName, parsed: ServerNameParts): Promise<Route> {
    const { host, port = MATRIX_PORT } = parsed
    const names = { tlsName: host, host: name }
    const service = isDirect(parsed) ? undefined : await serviceOf(host)
    return service ? { ...service, ...names } : { addresses: await checkedAddresses(host), port, ...names }
  }

  /** Where SRV records lead, if there are any. */
  async function serviceOf(host: string): Promise<Pick<Route, 'addresses' | 'port'> | undefined> {
    for (const service of ['_matrix-fed', '_matrix']) {
      // Name servers that cannot answer for SRV are common; the certificate is checked wherever we end up.
      const records = await network.dns.srv(`${service}._tcp.${host}`).catch(() => [])
      const ordered = srvOrder(records, random.fraction).slice(0, MAX_TARGETS)
      const { port } = ordered[0] ?? {}
      if (port !== undefined)
        return { port, addresses: await addressesOfAny(ordered.filter((one) => one.port === port)) }
    }
    return undefined
  }

  async function addressesOfAny(targets: readonly { name: string }[]): Promise<string[]> {
    const found = await Promise.allSettled(targets.map(({ name }) => checkedAddresses(name)))
    const addresses = found.flatMap((one) => (one.status === 'fulfilled' ? one.value : []))
    if (addresses.length === 0) throw (found[0] as PromiseRejectedResult).reason
    return [...new Set(addresses)].slice(0, MAX_ADDRESSES)
  }

  return {
    known: (serverName) => routes.get(serverName),
    async resolve(serverName) {
      const known = routes.get(serverName)
      if (known) return known
      return finding.share(serverName, async () => {
        const route = await find(serverName)
        routes.set(serverName, route, ADDRESSES_MS)
        return route
      })
    },
  }
}

/** Whether a name says itself where it leads: an IP literal, or a port. */
const isDirect = ({ kind, port }: ServerNameParts) => kind !== 'name' || port !== undefined

import type { ServerName } from '../matrix/ids.ts'
import { createBoundedCache } from '../platform/bounded-cache.ts'
import type { Clock } from '../platform/clock.ts'
import { createInFlight } from '../platform/in-flight.ts'
import { type HttpResponse, type Network, NetworkError } from '../platform/network.ts'
import { type Delegation, delegationAfter } from './well-known.ts'

const REMEMBERED_HOSTS = 5_000
/** For the answer with all its redirects (ms). */
const TIMEOUT_MS = 10_000
const MAX_BYTES = 50 * 1024
const MAX_REDIRECTS = 5

/**
 * Asks hosts for `/.well-known/matrix/server`, and remembers. Server-server API, "Resolving server names", step 3.
 * @param checkedAddresses of a host name or IP literal; throws where we may not go
 * @returns a function from a host name to the server name it delegates to, if it does
 */
export function createDelegations(parts: {
  network: Network
  clock: Clock
  checkedAddresses: (host: string) => Promise<string[]>
}): (host: string) => Promise<ServerName | undefined> {
  const { network, clock, checkedAddresses } = parts
  // Each process asks for itself.
  const known = createBoundedCache<string, Delegation>(REMEMBERED_HOSTS)
  const asking = createInFlight<ServerName | undefined>()

  async function ask(host: string): Promise<ServerName | undefined> {
    const answer = await fetchWellKnown(host).catch((error: unknown) => {
      if (error instanceof NetworkError) return undefined
      throw error
    })
    const delegation = delegationAfter(answer, known.get(host), clock.now())
    known.set(host, delegation)
    return delegation.name
  }

  async function fetchWellKnown(host: string): Promise<HttpResponse> {
    const deadline = clock.now() + TIMEOUT_MS
    let url = URL.parse(`https://${host}/.well-known/matrix/server`)
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      if (url?.protocol !== 'https:') throw new NetworkError('connection', 'led to what is not an https address')
      const hostname = url.hostname.replace(/^\[|\]$/g, '')
      const response = await network.http({
        method: 'GET',
        addresses: await checkedAddresses(hostname),
        port: url.port === '' ? 443 : Number(url.port),
        tlsName: hostname,
        host: url.host,
        path: url.pathname + url.search,
        headers: { accept: 'application/json' },
        timeoutMs: Math.min(TIMEOUT_MS, Math.max(1, deadline - clock.now())),
        maxBytes: MAX_BYTES,
      })
      const { location } = response.headers
      if (![301, 302, 303, 307, 308].includes(response.status) || location === undefined) return response
      url = URL.parse(location, url.href)
    }
    throw new NetworkError('connection', 'redirected too often')
  }

  return async (host) => {
    const before = known.get(host)
    const now = clock.now()
    if (before && now < before.until && now >= before.heardAt) return before.name
    return asking.share(host, () => ask(host))
  }
}

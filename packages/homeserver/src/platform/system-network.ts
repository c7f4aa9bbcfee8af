import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import { createBoundedCache } from './bounded-cache.ts'
import { exchange, type ServerPool } from './http-exchange.ts'
import type { HttpRequest, Network } from './network.ts'
import { systemDns } from './system-dns.ts'
import { tlsConnector } from './tls-connector.ts'

/** How many servers connections and TLS sessions are kept for. */
const SERVERS = 500
const CONNECTIONS_PER_SERVER = 20
/** An idle connection is kept this long (ms), less where the server says so. */
const KEEP_ALIVE_MS = 30_000

/** A network with a way to let go of its sockets. */
export type SystemNetwork = Network & { close(): Promise<void> }

/**
 * The machine's own network. Sockets go to the addresses that a request names and nowhere else; connections and TLS
 * sessions are kept and used again. Redirects are not followed.
 * @param options.certificates PEM of further certificate authorities to trust, besides those that Node trusts
 * @throws if `certificates` has no certificate in it
 */
export function createSystemNetwork(options: { certificates?: string | undefined } = {}): SystemNetwork {
  const { certificates } = options
  // Tells a wrong file at the start and not at the first request.
  if (certificates !== undefined) new X509Certificate(certificates)
  const sessions = createBoundedCache<string, Buffer>(SERVERS)
  const pools = createBoundedCache<string, ServerPool>(SERVERS, ({ pool }) => void pool.close().catch(() => {}))
  let secureContext: SecureContext | undefined

  /** One for all connections: reading all the authorities takes longer than a request. */
  function trusted(): SecureContext {
    secureContext ??= createSecureContext(
      certificates === undefined ? {} : { ca: [...getCACertificates('default'), certificates] },
    )
    return secureContext
  }

  async function poolFor(request: HttpRequest): Promise<ServerPool> {
    const { addresses, port, tlsName, host } = request
    const key = `${host} ${tlsName} ${port} ${addresses.toSorted().join()}`
    const known = pools.get(key)
    if (known) return known
    // Loaded late: it takes 14 MB, which a server that talks to nobody yet does without.
    const { Pool } = await import('undici')
    const loadedMeanwhile = pools.get(key)
    if (loadedMeanwhile) return loadedMeanwhile
    let opened = 0
    const pool = new Pool(`https://${isIP(tlsName) === 6 ? `[${tlsName}]` : tlsName}:${port}`, {
      connections: CONNECTIONS_PER_SERVER,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MS,
      headersTimeout: 0,
      bodyTimeout: 0,
      allowH2: false,
      connect: tlsConnector({ addresses, port, tlsName, sessions, trusted, onOpen: () => opened++ }),
    })
    const made: ServerPool = { pool, opened: () => opened }
    pools.set(key, made)
    return made
  }

  return {
    http: async (request) => exchange(await poolFor(request), request),
    dns: systemDns(),
    async close() {
      const all = [...pools.values()]
      await Promise.all(all.map(({ pool }) => pool.destroy()))
      pools.clear()
    },
  }
}

import { promises as dns } from 'node:dns'
import { lookup } from 'node:dns/promises'
import { isIP, type LookupFunction } from 'node:net'
import { rootCertificates } from 'node:tls'
import { LRUCache } from 'lru-cache'
import { errors, Pool } from 'undici'
import {
  type Dns,
  type HttpRequest,
  type HttpResponse,
  type Network,
  NetworkError,
  type NetworkFailure,
} from './network.ts'

/** How many servers connections are kept for. */
const POOLS = 500
const CONNECTIONS_PER_SERVER = 10
const CONNECT_TIMEOUT_MS = 10_000
const KEEP_ALIVE_MS = 60_000

/** A network with a way to let go of its sockets. */
export type SystemNetwork = Network & { close(): Promise<void> }

/**
 * The machine's own network. Sockets go to the addresses that the request names and nowhere else; connections and TLS
 * sessions are kept and used again.
 * @param options.certificates PEM of further certificate authorities to trust, besides the usual ones
 */
export function createSystemNetwork(options: { certificates?: string | undefined } = {}): SystemNetwork {
  const ca = options.certificates === undefined ? undefined : [...rootCertificates, options.certificates]
  const pools = new LRUCache<string, Pool>({ max: POOLS, dispose: (pool) => void pool.close().catch(() => {}) })

  function poolFor(request: HttpRequest): Pool {
    const { addresses, port, tlsName } = request
    const key = `${tlsName} ${port} ${addresses.join()}`
    const known = pools.get(key)
    if (known) return known
    const host = isIP(tlsName) === 6 ? `[${tlsName}]` : tlsName
    const pool = new Pool(`https://${host}:${port}`, {
      connections: CONNECTIONS_PER_SERVER,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connect: {
        timeout: CONNECT_TIMEOUT_MS,
        ...(ca ? { ca } : {}),
        ...(isIP(tlsName) ? {} : { servername: tlsName }),
        // The name was resolved, and its addresses checked, before: the socket goes there.
        lookup: lookupOf(addresses),
      },
    })
    pools.set(key, pool)
    return pool
  }

  async function http(request: HttpRequest): Promise<HttpResponse> {
    const timeout = AbortSignal.timeout(request.timeoutMs)
    const signal = request.signal ? AbortSignal.any([timeout, request.signal]) : timeout
    try {
      const response = await poolFor(request).request({
        method: request.method,
        path: request.path,
        headers: { ...request.headers, host: request.host },
        ...(request.body === undefined ? {} : { body: request.body }),
        signal,
        headersTimeout: 0,
        bodyTimeout: 0,
      })
      const body = await readBounded(response.body, request.maxBytes)
      return { status: response.statusCode, headers: flatten(response.headers), body }
    } catch (error) {
      if (error instanceof NetworkError) throw error
      if (timeout.aborted) throw new NetworkError('timeout', `no answer within ${request.timeoutMs} ms`)
      if (request.signal?.aborted) throw new NetworkError('aborted', 'given up')
      throw asNetworkError(error)
    }
  }

  return {
    http,
    dns: systemDns,
    async close() {
      const all = [...pools.values()]
      await Promise.all(all.map((pool) => pool.destroy()))
      pools.clear()
    },
  }
}

function lookupOf(addresses: readonly string[]): LookupFunction {
  const all = addresses.map((address) => ({ address, family: isIP(address) }))
  return (_hostname, options, callback) => {
    if (options.all) callback(null, all)
    else callback(null, all[0]?.address ?? '', all[0]?.family)
  }
}

async function readBounded(body: AsyncIterable<Buffer> & { destroy(): void }, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > maxBytes) {
      body.destroy()
      throw new NetworkError('too_large', `the answer is larger than ${maxBytes} bytes`)
    }
    chunks.push(chunk)
  }
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
}

function flatten(headers: Record<string, string | string[] | undefined>): Record<string, string> {
  const flat: Record<string, string> = Object.create(null)
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) flat[name] = Array.isArray(value) ? value.join(', ') : value
  }
  return flat
}

function asNetworkError(error: unknown): NetworkError {
  const { code = '', message = String(error) } = error as { code?: string; message?: string }
  let failure: NetworkFailure = 'connection'
  if (error instanceof errors.ConnectTimeoutError || code === 'ETIMEDOUT') failure = 'timeout'
  else if (/^(ERR_TLS|ERR_SSL|CERT_|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|EPROTO|HOSTNAME_)/.test(code)) failure = 'tls'
  return new NetworkError(failure, code === '' ? message : `${code}: ${message}`)
}

const systemDns: Dns = {
  async addresses(hostname) {
    // The system's own way, so that its hosts file counts.
    const found = await lookup(hostname, { all: true }).catch((error: Error) => {
      throw new NetworkError('name', error.message)
    })
    return found.map(({ address }) => address)
  },
  async srv(name) {
    try {
      const records = await dns.resolveSrv(name)
      return records.map(({ name: target, port, priority, weight }) => ({ name: target, port, priority, weight }))
    } catch (error) {
      const { code } = error as { code?: string }
      if (code === 'ENODATA' || code === 'ENOTFOUND') return []
      throw new NetworkError('name', `${code}: no SRV records of ${name}`)
    }
  },
}

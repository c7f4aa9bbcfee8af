import { type Clock, sleep } from '../../src/platform/clock.ts'
import {
  breakOffError,
  type HttpRequest,
  type HttpResponse,
  type Network,
  NetworkError,
} from '../../src/platform/network.ts'
import type { Random } from '../../src/platform/random.ts'
import { createFaultTable, type Faults } from './network-faults.ts'
import { createRequestLog, type RequestFilter, type SeenRequest } from './request-log.ts'
import { errorResponse } from './responses.ts'
import { createSeededRandom } from './seeded-random.ts'

/** Answers the requests that reach one server. @param from the server name of whoever asks */
export type Handler = (request: HttpRequest, from: string) => Promise<HttpResponse>

/**
 * Decides about one request before anything else does: `pass` leaves it alone, `drop` refuses the connection, an
 * answer is given in the server's stead. A promise holds the request until it resolves.
 */
export type Interceptor = (request: SeenRequest) => Verdict | Promise<Verdict>
export type Verdict = 'pass' | 'drop' | HttpResponse

export type HostOptions = {
  /** Answers `GET /.well-known/matrix/server` on port 443; else that is 404. */
  wellKnown?: Handler
  /** What the name resolves to; else an address is made up. */
  address?: string
}

/** A network between servers of one process. Time passes on it by the given clock only. */
export type MemoryNetwork = {
  /** The network as the server of that name sees it. */
  of(serverName: string): Network
  /** Makes a server reachable, or puts another handler in its place. A name without a port answers on every port. */
  host(serverName: string, handler: Handler, options?: HostOptions): void
  /** Nobody answers there any more; its name still resolves. */
  unhost(serverName: string): void
  /** What goes wrong from now on with requests from one server to another; `*` stands for any. Replaces what was set. */
  fault(from: string, to: string, faults: Faults): void
  /** Refuses connections between the two groups, both ways. */
  partition(groupA: readonly string[], groupB: readonly string[]): void
  /** Lets requests that hang go on, unless their time is over. */
  release(): void
  /** Ends all faults and partitions, and releases. Interceptors stay. */
  heal(): void
  /** Asks the hook about every request from now on, until the returned function is called. */
  intercept(hook: Interceptor): () => void
  /** Requests so far, oldest first. */
  requests(filter?: RequestFilter): SeenRequest[]
  inFlight(): number
}

type Host = { serverName: string; handler: Handler; wellKnown: Handler }

/** @param random decides where faults have a chance; the same seed gives the same faults */
export function createMemoryNetwork(clock: Clock, random: Random = createSeededRandom('network')): MemoryNetwork {
  const hosts = new Map<string, Host>()
  const addresses = new Map<string, string>()
  const interceptors = new Set<Interceptor>()
  const faults = createFaultTable(clock, random)
  const log = createRequestLog()

  /** By name, since addresses are made up. */
  function hostFor({ tlsName, port }: HttpRequest): Host | undefined {
    const hostname = tlsName.toLowerCase()
    return hosts.get(`${hostname}:${port}`) ?? hosts.get(hostname)
  }

  async function deliver(seen: SeenRequest, request: HttpRequest, gone: AbortSignal): Promise<HttpResponse> {
    for (const hook of interceptors) {
      const verdict = await hook(seen)
      if (verdict === 'drop') throw new NetworkError('connection', 'dropped')
      if (verdict !== 'pass') return verdict
    }
    const fate = faults.fateOf(seen.from, seen.to)
    await fate.arrival(gone)
    if (gone.aborted) throw new NetworkError('aborted', 'who asked has hung up before it arrived')
    const host = hostFor(request)
    if (!host) throw new NetworkError('connection', `nobody answers at ${seen.to}`)
    const handler = request.path === '/.well-known/matrix/server' ? host.wellKnown : host.handler
    const response = await handler(request, seen.from)
    if (fate.again) void deliverAgain(handler, request, seen.from, fate.againAfterMs)
    if (fate.answerDelayMs > 0) await sleep(clock, fate.answerDelayMs, gone)
    if (fate.answerLost) throw new NetworkError('connection', 'the answer was lost')
    if (response.body.length > request.maxBytes) throw new NetworkError('too_large', 'the answer is too long')
    return response
  }

  /** Nobody waits for this answer. */
  async function deliverAgain(handler: Handler, request: HttpRequest, from: string, afterMs: number): Promise<void> {
    if (afterMs > 0) await sleep(clock, afterMs)
    await handler(request, from).catch((error: unknown) => {
      if (!(error instanceof NetworkError)) throw error
    })
  }

  async function http(from: string, request: HttpRequest): Promise<HttpResponse> {
    const to = hostFor(request)?.serverName ?? request.host
    const seen = log.begin({ from, to, method: request.method, path: request.path, at: clock.now() }, request)
    const gone = new AbortController()
    const answer = deliver(seen, request, gone.signal)
    // Who asked may have gone. Whatever is no failure of the network is a bug of a handler, and must not be missed.
    answer.catch((error: unknown) => {
      if (gone.signal.aborted && !(error instanceof NetworkError)) throw error
    })
    const limit = limitOf(clock, request)
    try {
      const response = await Promise.race([answer, limit.exceeded])
      log.end(seen, response.status)
      return response
    } catch (error) {
      log.end(seen, error instanceof NetworkError ? error.failure : 'bug')
      throw error
    } finally {
      limit.lift()
      gone.abort()
    }
  }

  return {
    of: (from) => ({
      http: (request) => http(from, request),
      dns: {
        async addresses(hostname) {
          const address = addresses.get(hostname.toLowerCase())
          if (address === undefined) throw new NetworkError('name', `${hostname} is not registered`)
          return [address]
        },
        srv: async () => [],
      },
    }),
    host(serverName, handler, { wellKnown = noWellKnown, address } = {}) {
      const name = serverName.toLowerCase()
      const hostname = name.replace(/:\d+$/, '')
      addresses.set(hostname, address ?? addresses.get(hostname) ?? madeUpAddress(addresses.size))
      hosts.set(name, { serverName, handler, wellKnown })
    },
    unhost: (serverName) => void hosts.delete(serverName.toLowerCase()),
    fault: faults.set,
    partition(groupA, groupB) {
      for (const a of groupA) {
        for (const b of groupB) {
          faults.set(a, b, { drop: true })
          faults.set(b, a, { drop: true })
        }
      }
    },
    release: faults.release,
    heal: faults.clear,
    intercept(hook) {
      interceptors.add(hook)
      return () => interceptors.delete(hook)
    },
    requests: log.requests,
    inFlight: log.inFlight,
  }
}

/** Rejects when a request's time is over, or when it is aborted. */
function limitOf(clock: Clock, { timeoutMs, signal }: HttpRequest): { exceeded: Promise<never>; lift(): void } {
  const { promise, reject } = Promise.withResolvers<never>()
  const onAbort = () => reject(breakOffError(signal!))
  const cancel = clock.after(timeoutMs, () => reject(new NetworkError('timeout', `no answer in ${timeoutMs} ms`)))
  if (signal?.aborted) onAbort()
  signal?.addEventListener('abort', onAbort)
  return {
    exceeded: promise,
    lift() {
      cancel()
      signal?.removeEventListener('abort', onAbort)
    },
  }
}

/** Not one of the addresses for documentation: those count as special. Nothing ever connects to it. */
function madeUpAddress(n: number): string {
  return `5.0.${Math.floor(n / 250)}.${(n % 250) + 1}`
}

const noWellKnown: Handler = async () => errorResponse(404, 'M_UNRECOGNIZED')

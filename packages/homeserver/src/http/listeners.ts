import { chmod, rm } from 'node:fs/promises'
import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http'
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { ListenAddress } from '../config/settings.ts'
import type { Certificate } from '../platform/certificate.ts'
import type { Clock } from '../platform/clock.ts'

/** Where to listen. */
export type ListenPlan = {
  plain: ListenAddress | undefined
  tls: { address: ListenAddress; certificate: Certificate } | undefined
  /** Where monitoring reads. */
  metrics: { address: ListenAddress; handler: RequestListener } | undefined
  /** A socket file that only its owner can open, for the command line. */
  socket: { path: string; handler: RequestListener } | undefined
}

export type Listeners = {
  /** Where the server listens, with the ports that the system chose. */
  plain: ListenAddress | undefined
  tls: ListenAddress | undefined
  metrics: ListenAddress | undefined
  /** Serves new connections with another certificate. */
  useCertificate(certificate: Certificate): void
  /** Accepts nothing more and waits for what is running; after `graceMs` what still runs is cut off. */
  close(graceMs: number): Promise<void>
}

/** A client has this long for its headers, and for a whole request (ms). */
const HEADERS_TIMEOUT_MS = 20_000
const REQUEST_TIMEOUT_MS = 120_000
const KEEP_ALIVE_MS = 75_000
const LIMITS = {
  headersTimeout: HEADERS_TIMEOUT_MS,
  requestTimeout: REQUEST_TIMEOUT_MS,
  keepAliveTimeout: KEEP_ALIVE_MS,
}

/** Opens all listeners, or none. @throws what the system says, e.g. that an address is in use */
export async function openListeners(handler: RequestListener, plan: ListenPlan, clock: Clock): Promise<Listeners> {
  const open: Server[] = []
  const closeAll = () => Promise.all(open.map((server) => closeServer(server, 0, clock)))
  try {
    const listening = async (server: Server, where: ListenAddress | string): Promise<AddressInfo | string> => {
      await listen(server, where)
      open.push(server)
      return server.address()!
    }
    const { plain, tls, metrics, socket } = plan
    const plainAt = plain && (await listening(createHttpServer(LIMITS, handler), plain))
    const secure = tls && createHttpsServer({ ...LIMITS, ...tls.certificate }, handler)
    const tlsAt = tls && (await listening(secure as HttpsServer, tls.address))
    const metricsAt = metrics && (await listening(createHttpServer(LIMITS, metrics.handler), metrics.address))
    if (socket) {
      // We hold the lock on the folder, so whoever made a file that is there is gone.
      await rm(socket.path, { force: true })
      await listening(createHttpServer(LIMITS, socket.handler), socket.path)
      await chmod(socket.path, 0o600)
    }
    const bound = (address: AddressInfo | string | undefined, asked: ListenAddress | undefined) =>
      asked && { host: asked.host, port: (address as AddressInfo).port }
    return {
      plain: bound(plainAt, plain),
      tls: bound(tlsAt, tls?.address),
      metrics: bound(metricsAt, metrics?.address),
      useCertificate: (certificate) => secure?.setSecureContext(certificate),
      async close(graceMs) {
        await Promise.all(open.map((server) => closeServer(server, graceMs, clock)))
      },
    }
  } catch (error) {
    await closeAll()
    throw error
  }
}

function listen(server: Server, where: ListenAddress | string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    const onListening = () => {
      server.off('error', reject)
      resolve()
    }
    if (typeof where === 'string') server.listen(where, onListening)
    else server.listen(where.port, where.host, onListening)
  })
}

function closeServer(server: Server, graceMs: number, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(graceMs, () => server.closeAllConnections())
    server.close(() => {
      cancel()
      resolve()
    })
    server.closeIdleConnections()
  })
}

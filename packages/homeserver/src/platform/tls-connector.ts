import { isIP, type LookupFunction } from 'node:net'
import { checkServerIdentity, connect, type SecureContext, type TLSSocket } from 'node:tls'
import type { LRUCache } from 'lru-cache'
import { NetworkError } from './network.ts'

/** The address, the handshake and the certificate, together (ms). */
const CONNECT_TIMEOUT_MS = 10_000

export type TlsTarget = {
  /** Where the socket goes, and nowhere else. */
  addresses: readonly string[]
  port: number
  /** What the certificate must be for; sent as SNI unless it is an IP literal. */
  tlsName: string
  /** TLS sessions by name and port, to begin the next connection with. */
  sessions: LRUCache<string, Buffer>
  trusted: () => SecureContext
  /** Called for each connection that is opened. */
  onOpen: () => void
}

type Connected = (...result: [error: Error, socket: null] | [error: null, socket: TLSSocket]) => void

/** Opens TLS connections for undici's pool, which passes on the `NetworkError` of one that fails. */
export function tlsConnector(target: TlsTarget): (options: unknown, callback: Connected) => void {
  const { addresses, port, tlsName, sessions, trusted, onOpen } = target
  const sessionKey = `${tlsName} ${port}`

  return (_options, callback) => {
    const session = sessions.get(sessionKey)
    let connected = false
    const socket = connect({
      // An IP literal is connected to as it is; a name goes through the lookup, which only knows checked addresses.
      host: isIP(tlsName) ? addresses[0]! : tlsName,
      port,
      lookup: lookupOf(addresses),
      servername: isIP(tlsName) ? '' : tlsName,
      checkServerIdentity: (_name, certificate) => checkServerIdentity(tlsName, certificate),
      ALPNProtocols: ['http/1.1'],
      secureContext: trusted(),
      ...(session ? { session } : {}),
    })
    const timer = setTimeout(
      () => socket.destroy(new NetworkError('timeout', `no connection within ${CONNECT_TIMEOUT_MS} ms`)),
      CONNECT_TIMEOUT_MS,
    )
    const fail = (error: Error) => {
      clearTimeout(timer)
      // It may be the session that the server does not like.
      sessions.delete(sessionKey)
      callback(connectionFailure(error, connected), null)
    }
    socket
      .setNoDelay(true)
      .setKeepAlive(true, 60_000)
      .on('session', (fresh: Buffer) => sessions.set(sessionKey, fresh))
      .once('connect', () => {
        connected = true
      })
      .once('error', fail)
      .once('secureConnect', () => {
        clearTimeout(timer)
        socket.off('error', fail)
        onOpen()
        callback(null, socket)
      })
  }
}

function lookupOf(addresses: readonly string[]): LookupFunction {
  const all = addresses.map((address) => ({ address, family: isIP(address) }))
  return (_hostname, options, callback) => {
    if (options.all) callback(null, all)
    else callback(null, all[0]!.address, all[0]!.family)
  }
}

/** Says whether it was the way there that failed, or TLS. */
function connectionFailure(error: Error, connected: boolean): NetworkError {
  if (error instanceof NetworkError) return error
  const { code = '', message } = error as { code?: string; message: string }
  const detail = message.startsWith(code) ? message || code : `${code}: ${message}`
  if (code === 'ETIMEDOUT') return new NetworkError('timeout', detail)
  const brokenOff = code === 'ECONNRESET' || code === 'EPIPE'
  return new NetworkError(connected && !brokenOff ? 'tls' : 'connection', detail)
}

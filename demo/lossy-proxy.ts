import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'

/** What stands in front of a homeserver and takes what other servers send to it. */
export type LossyProxy = {
  /** Its port, which is part of the homeserver's name. */
  port: number
  /** Whether word of changed devices gets lost from now on. The sender is told that it has arrived. */
  losing: boolean
  /** How many transactions were lost. */
  readonly lost: number
  close(): Promise<void>
}

/** The largest request that is taken (bytes). */
const LIMIT = 10 * 1024 * 1024
/** What tells of devices. What else came in the same transaction is lost with it, but for events in rooms: those are never lost. */
const ABOUT_DEVICES: ReadonlySet<unknown> = new Set(['m.device_list_update', 'm.signing_key_update'])

/**
 * TLS on a port of loopback, passed on to a homeserver's plain listener.
 * @param target the port of that listener on 127.0.0.1, asked for with each request: the homeserver starts after this
 */
export async function startLossyProxy(
  { cert, key }: { cert: string; key: string },
  target: () => number,
): Promise<LossyProxy> {
  const state = { losing: false, lost: 0 }
  const server = createServer({ cert, key }, async (request, response) => {
    try {
      const body = await bodyOf(request)
      if (state.losing && isLost(request, body)) {
        state.lost++
        response.writeHead(200, { 'content-type': 'application/json' }).end('{"pdus":{}}')
      } else await passOn(request, body, target(), response)
    } catch {
      response.destroy()
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    get losing() {
      return state.losing
    },
    set losing(losing) {
      state.losing = losing
    },
    get lost() {
      return state.lost
    },
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    size += chunk.length
    if (size > LIMIT) throw new Error('too large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** Whether a request is a transaction that tells of devices and of no event in a room. */
export function isLost({ method, url = '' }: Pick<IncomingMessage, 'method' | 'url'>, body: Buffer): boolean {
  if (method !== 'PUT' || !url.startsWith('/_matrix/federation/v1/send/')) return false
  const { pdus = [], edus = [] } = JSON.parse(body.toString('utf8')) as {
    pdus?: unknown[]
    edus?: { edu_type?: unknown }[]
  }
  return pdus.length === 0 && edus.some((edu) => ABOUT_DEVICES.has(edu.edu_type))
}

async function passOn(request: IncomingMessage, body: Buffer, port: number, response: ServerResponse): Promise<void> {
  const { 'transfer-encoding': _, ...headers } = request.headers
  const onward = httpRequest({
    host: '127.0.0.1',
    port,
    method: request.method,
    path: request.url,
    headers: { ...headers, 'content-length': body.length },
  })
  onward.end(body)
  const [answer] = (await once(onward, 'response')) as [IncomingMessage]
  response.writeHead(answer.statusCode!, answer.headers)
  answer.pipe(response)
}

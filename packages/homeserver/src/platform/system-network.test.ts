import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { createServer as createTcpServer } from 'node:net'
import { after, before, beforeEach, describe, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { generate } from 'selfsigned'
import { type HttpRequest, NetworkError, type NetworkFailure } from './network.ts'
import { parseHosts } from './system-dns.ts'
import { createSystemNetwork, type SystemNetwork } from './system-network.ts'

/** Long enough never to pass in a test that is right. */
const LONG_MS = 20_000

async function certificateFor(...names: ({ type: 2; value: string } | { type: 7; ip: string })[]) {
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'test' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'subjectAltName', altNames: names },
    ],
  })
  return { cert, key }
}

function failsWith(failure: NetworkFailure) {
  return (error: unknown) => {
    assert(error instanceof NetworkError, `${error}`)
    assert.equal(error.failure, failure, error.message)
    return true
  }
}

describe('the system network, on loopback', () => {
  let server: Server
  let network: SystemNetwork
  let port: number
  let answer: (request: IncomingMessage, response: ServerResponse) => void
  let connections: TLSSocket[]

  before(async () => {
    const { cert, key } = await certificateFor({ type: 2, value: 'matrix.example' }, { type: 7, ip: '127.0.0.1' })
    server = createServer({ cert, key }, (request, response) => answer(request, response))
    server.on('secureConnection', (socket) => connections.push(socket))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    port = (server.address() as AddressInfo).port
    network = createSystemNetwork({ certificates: cert })
  })
  after(async () => {
    await network.close()
    server.closeAllConnections()
    server.close()
  })
  beforeEach(() => {
    connections = []
    answer = (_, response) => response.end('{}')
  })

  function ask(changes: Partial<HttpRequest> = {}) {
    return network.http({
      method: 'GET',
      addresses: ['127.0.0.1'],
      port,
      tlsName: 'matrix.example',
      host: 'matrix.example:1234',
      path: '/',
      headers: {},
      timeoutMs: LONG_MS,
      maxBytes: 1_000,
      ...changes,
    })
  }

  test('goes to the given address with the given Host, path, headers and body', async () => {
    answer = async (request, response) => {
      const body = Buffer.concat(await request.toArray()).toString()
      const { method, url, headers } = request
      response.setHeader('X-Twice', ['a', 'b'])
      response.statusCode = 418
      response.end(JSON.stringify({ method, url, host: headers.host, own: headers['x-own'], body }))
    }
    const request = { method: 'PUT', path: '/a%2Fb?c=d', headers: { 'x-own': 'e' }, body: '{"f":"ä"}' } as const
    const response = await ask(request)
    assert.equal(response.status, 418)
    assert.equal(response.headers['x-twice'], 'a, b')
    const seen = { method: 'PUT', url: '/a%2Fb?c=d', host: 'matrix.example:1234', own: 'e', body: '{"f":"ä"}' }
    assert.deepEqual(JSON.parse(response.body.toString()), seen)
    assert.equal(connections[0]?.servername, 'matrix.example')
  })

  test('sends no SNI for an IP literal and checks the certificate for it', async () => {
    await ask({ tlsName: '127.0.0.1' })
    assert.equal(connections[0]?.servername, false)
  })

  test('refuses a certificate for another name, or for another address', async () => {
    await assert.rejects(ask({ tlsName: 'other.example', host: 'matrix.example' }), failsWith('tls'))
    await assert.rejects(ask({ addresses: ['127.0.0.1'], tlsName: '127.0.0.2' }), failsWith('tls'))
  })

  test('refuses a certificate that no authority vouches for', async () => {
    const strict = createSystemNetwork()
    const where = { addresses: ['127.0.0.1'], port, tlsName: 'matrix.example', host: 'matrix.example' }
    const what = { method: 'GET', path: '/', headers: {}, timeoutMs: LONG_MS, maxBytes: 10 } as const
    await assert.rejects(strict.http({ ...where, ...what }), failsWith('tls'))
    await strict.close()
  })

  test('keeps a connection for the next request', async () => {
    for (let count = 0; count < 10; count++) await ask()
    // The one just used is not free until the next turn of the event loop.
    assert.equal(connections.length <= 2, true)
  })

  test('begins a new connection with the TLS session of the last', async () => {
    await ask()
    const before = connections.length
    server.closeAllConnections()
    await ask()
    assert.equal(connections.length, before + 1)
    assert.equal(connections.at(-1)!.isSessionReused(), true)
  })

  test('asks once more on a new connection when the kept one turns out to be closed', async () => {
    await ask()
    let asked = 0
    answer = (request, response) => {
      if (asked++ === 0) request.socket.destroy()
      else response.end('again')
    }
    assert.equal((await ask()).body.toString(), 'again')
    assert.equal(asked, 2)
  })

  test('does not send again what may have had an effect, nor what failed on a new connection', async () => {
    await ask()
    let asked = 0
    answer = (request) => {
      asked++
      request.socket.destroy()
    }
    await assert.rejects(ask({ method: 'POST', body: '{}' }), failsWith('connection'))
    assert.equal(asked, 1)
    await assert.rejects(ask(), failsWith('connection'))
    assert.equal(asked, 2)
  })

  test('follows no redirect', async () => {
    answer = (_, response) => response.writeHead(302, { Location: '/elsewhere' }).end()
    assert.equal((await ask()).status, 302)
  })

  test('bounds the body by bytes, whether its length is announced or not', async () => {
    answer = (_, response) => response.end('x'.repeat(1_001))
    await assert.rejects(ask(), failsWith('too_large'))
    let written = 0
    answer = (_, response) => {
      const more = () => {
        while (!response.destroyed && response.write('x'.repeat(500))) written += 500
      }
      response.on('drain', more)
      more()
    }
    await assert.rejects(ask(), failsWith('too_large'))
    assert.equal(written < 50_000_000, true)
    answer = (_, response) => response.end('x'.repeat(1_000))
    assert.equal((await ask()).body.length, 1_000)
  })

  test('times out when the server does not answer, or drips', async () => {
    answer = () => {}
    await assert.rejects(ask({ timeoutMs: 30 }), failsWith('timeout'))
    answer = (_, response) => {
      response.writeHead(200)
      const timer = setInterval(() => response.write(' '), 5)
      response.on('close', () => clearInterval(timer))
    }
    await assert.rejects(ask({ timeoutMs: 100 }), failsWith('timeout'))
  })

  test('ends when its signal is aborted, before and while it runs', async () => {
    const controller = new AbortController()
    answer = () => controller.abort()
    await assert.rejects(ask({ signal: controller.signal }), failsWith('aborted'))
    await assert.rejects(ask({ signal: controller.signal }), failsWith('aborted'))
  })

  test('says when nobody listens, and goes on to the next address', async () => {
    const other = createTcpServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const closed = (other.address() as AddressInfo).port
    other.close()
    await once(other, 'close')
    await assert.rejects(ask({ port: closed }), failsWith('connection'))
    assert.equal((await ask({ addresses: ['127.0.0.3', '127.0.0.1'] })).status, 200)
  })

  test('says when a connection breaks within the answer', async () => {
    answer = (request, response) => {
      response.writeHead(200, { 'Content-Length': 100 })
      response.write('x')
      setImmediate(() => request.socket.destroy())
    }
    await assert.rejects(ask(), failsWith('connection'))
  })
})

test('certificates that are none are refused at once', () => {
  assert.throws(() => createSystemNetwork({ certificates: 'no certificate' }))
})

test('a hosts file is read', () => {
  const hosts = parseHosts(
    '127.0.0.1\tlocalhost # here\n\n# 1.1.1.1 commented\n::1 localhost ip6\r\n10.0.0.1 A.Example b\n',
  )
  assert.deepEqual(hosts.get('localhost'), ['127.0.0.1', '::1'])
  assert.deepEqual(hosts.get('a.example'), ['10.0.0.1'])
  assert.deepEqual([...hosts.keys()], ['localhost', 'ip6', 'a.example', 'b'])
})

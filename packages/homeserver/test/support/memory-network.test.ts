import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HttpRequest, NetworkFailure } from '../../src/platform/network.ts'
import { createFakeClock } from './fake-clock.ts'
import { createMemoryNetwork } from './memory-network.ts'
import { peakInFlight } from './request-log.ts'
import { jsonResponse, textResponse } from './responses.ts'
import { createSeededRandom } from './seeded-random.ts'

function setUp(seed = 'test') {
  const clock = createFakeClock(0)
  const network = createMemoryNetwork(clock, createSeededRandom(seed))
  const arrived: { path: string; from: string; at: number }[] = []
  network.host('hs2', async ({ path }, from) => {
    arrived.push({ path, from, at: clock.now() })
    return jsonResponse(200, { path })
  })
  const hs1 = network.of('hs1')
  const get = (path: string, more: Partial<HttpRequest> = {}) => hs1.http(requestTo('hs2', path, more))
  return { clock, network, hs1, get, arrived }
}

function requestTo(host: string, path: string, more: Partial<HttpRequest> = {}): HttpRequest {
  const route = { addresses: ['5.0.0.1'], port: 8448, tlsName: host, host }
  return { method: 'GET', ...route, path, headers: {}, timeoutMs: 1_000, maxBytes: 1_000, ...more }
}

const failure = (expected: NetworkFailure) => ({ name: 'NetworkError', failure: expected })

test('a request reaches the server of that name, which learns who asks', async () => {
  const { get, arrived } = setUp()
  const response = await get('/a')
  assert.equal(response.status, 200)
  assert.deepEqual(JSON.parse(response.body.toString()), { path: '/a' })
  assert.deepEqual(arrived, [{ path: '/a', from: 'hs1', at: 0 }])
})

test('names resolve to an address of their own; unknown names do not', async () => {
  const { network, hs1 } = setUp()
  network.host('hs3', async () => textResponse(200, ''))
  network.host('inside.example', async () => textResponse(200, ''), { address: '127.0.0.1' })
  const addresses = await Promise.all(['hs2', 'HS3', 'inside.example'].map((name) => hs1.dns.addresses(name)))
  assert.equal(new Set(addresses.flat()).size, 3)
  assert.deepEqual(addresses[2], ['127.0.0.1'])
  await assert.rejects(hs1.dns.addresses('nowhere.example'), failure('name'))
  assert.deepEqual(await hs1.dns.srv('_matrix-fed._tcp.hs2'), [])
})

test('a name with a port answers on that port only', async () => {
  const { network, hs1 } = setUp()
  network.host('hs3:8000', async () => textResponse(200, 'on 8000'))
  assert.equal((await hs1.http(requestTo('hs3', '/', { port: 8000 }))).body.toString(), 'on 8000')
  await assert.rejects(hs1.http(requestTo('hs3', '/')), failure('connection'))
})

test('.well-known is 404 unless the host handles it', async () => {
  const { network, hs1, arrived, get } = setUp()
  const path = '/.well-known/matrix/server'
  assert.equal((await get(path, { port: 443 })).status, 404)
  assert.deepEqual(arrived, [])
  const wellKnown = async () => jsonResponse(200, { 'm.server': 'hs2:1' })
  network.host('hs3', async () => textResponse(500, ''), { wellKnown })
  assert.equal((await hs1.http(requestTo('hs3', path, { port: 443 }))).status, 200)
})

test('a server that is gone refuses connections, and comes back', async () => {
  const { network, get } = setUp()
  network.unhost('hs2')
  await assert.rejects(get('/'), failure('connection'))
  network.host('hs2', async () => textResponse(204, ''))
  assert.equal((await get('/')).status, 204)
})

test('a request without an answer ends at its time-out, and an abort ends it at once', async () => {
  const { clock, network, hs1 } = setUp()
  network.host('slow', () => new Promise(() => {}))
  const timedOut = assert.rejects(hs1.http(requestTo('slow', '/')), failure('timeout'))
  await clock.advance(999)
  assert.equal(network.inFlight(), 1)
  await clock.advance(1)
  await timedOut
  const aborting = new AbortController()
  const aborted = assert.rejects(hs1.http(requestTo('slow', '/', { signal: aborting.signal })), failure('aborted'))
  aborting.abort()
  await aborted
  await assert.rejects(hs1.http(requestTo('slow', '/', { signal: AbortSignal.abort() })), failure('aborted'))
  assert.equal(network.inFlight(), 0)
  assert.equal(clock.pendingTimers(), 0)
})

test('an answer longer than allowed is refused', async () => {
  const { get } = setUp()
  await assert.rejects(get('/', { maxBytes: 5 }), failure('too_large'))
})

test('drop refuses one direction, partition both, heal ends it', async () => {
  const { network, get } = setUp()
  network.host('hs1', async () => textResponse(200, ''))
  const back = () => network.of('hs2').http(requestTo('hs1', '/'))
  network.fault('hs1', 'hs2', { drop: true })
  await assert.rejects(get('/'), failure('connection'))
  assert.equal((await back()).status, 200)
  network.partition(['hs1'], ['hs2', 'hs3'])
  await assert.rejects(get('/'), failure('connection'))
  await assert.rejects(back(), failure('connection'))
  network.heal()
  assert.equal((await get('/')).status, 200)
  assert.equal((await back()).status, 200)
})

test('a hanging request goes on when released, and never arrives once its time is over', async () => {
  const { clock, network, get, arrived } = setUp()
  network.fault('*', 'hs2', { hang: true })
  const late = assert.rejects(get('/late'), failure('timeout'))
  await clock.advance(600)
  const early = get('/early')
  await clock.advance(400)
  await late
  network.release()
  assert.equal((await early).status, 200)
  assert.deepEqual(arrived, [{ path: '/early', from: 'hs1', at: 1_000 }])
})

test('a delayed request arrives later', async () => {
  const { clock, network, get, arrived } = setUp()
  network.fault('hs1', '*', { delayMs: 300 })
  const answer = get('/a')
  await clock.advance(299)
  assert.equal(arrived.length, 0)
  await clock.advance(1)
  await answer
  assert.equal(arrived[0]?.at, 300)
})

test('a range of delays reorders requests, the same way for the same seed', async () => {
  const orderOf = async (seed: string) => {
    const { clock, network, get, arrived } = setUp(seed)
    network.fault('hs1', 'hs2', { delayMs: [0, 500] })
    const all = Promise.all(['/1', '/2', '/3', '/4', '/5', '/6'].map((path) => get(path)))
    await clock.advance(500)
    await all
    return arrived.map(({ path }) => path).join('')
  }
  const order = await orderOf('a')
  assert.notEqual(order, '/1/2/3/4/5/6')
  assert.equal(await orderOf('a'), order)
  assert.notEqual(await orderOf('b'), order)
})

test('a duplicated request arrives twice, a lost answer leaves it done', async () => {
  const { network, get, arrived } = setUp()
  network.fault('hs1', 'hs2', { duplicate: true })
  await get('/twice')
  assert.deepEqual(
    arrived.map(({ path }) => path),
    ['/twice', '/twice'],
  )
  network.fault('hs1', 'hs2', { loseAnswer: true })
  await assert.rejects(get('/done'), failure('connection'))
  assert.equal(arrived.at(-1)?.path, '/done')
})

test('a fault with a chance hits some requests', async () => {
  const { network, get } = setUp()
  network.fault('*', '*', { drop: 0.3 })
  const outcomes = await Promise.allSettled(Array.from({ length: 200 }, () => get('/')))
  const dropped = outcomes.filter(({ status }) => status === 'rejected').length
  assert.ok(dropped > 30 && dropped < 90, `${dropped} of 200`)
})

test('the exact pair counts more than a wildcard', async () => {
  const { network, get } = setUp()
  network.fault('*', '*', { drop: true })
  network.fault('hs1', 'hs2', { drop: false })
  assert.equal((await get('/')).status, 200)
})

test('an interceptor sees the body, and drops, answers or holds single requests', async () => {
  const { clock, network, hs1, arrived } = setUp()
  const held = Promise.withResolvers<'pass'>()
  const stop = network.intercept(({ body }) => {
    if (body.kind === 'bad') return 'drop'
    if (body.kind === 'answered') return jsonResponse(418, {})
    return body.kind === 'held' ? held.promise : 'pass'
  })
  const put = (kind: string) =>
    hs1.http(requestTo('hs2', `/${kind}`, { method: 'PUT', body: JSON.stringify({ kind }) }))
  await assert.rejects(put('bad'), failure('connection'))
  assert.equal((await put('answered')).status, 418)
  const holding = put('held')
  await put('good')
  await clock.advance(10)
  assert.deepEqual(
    arrived.map(({ path }) => path),
    ['/good'],
  )
  held.resolve('pass')
  await holding
  stop()
  await put('bad')
  assert.deepEqual(
    arrived.map(({ path }) => path),
    ['/good', '/held', '/bad'],
  )
})

test('all requests are in the log, with what became of them', async () => {
  const { network, hs1, get } = setUp()
  await get('/a/1')
  await get('/b/1', { method: 'PUT', body: '{"x":1}' })
  await assert.rejects(hs1.http(requestTo('hs3', '/a/2')))
  const brief = (filter?: Parameters<typeof network.requests>[0]) =>
    network.requests(filter).map(({ to, path, outcome }) => `${to} ${path} ${outcome}`)
  assert.deepEqual(brief(), ['hs2 /a/1 200', 'hs2 /b/1 200', 'hs3 /a/2 connection'])
  assert.deepEqual(brief({ path: '/a/' }), ['hs2 /a/1 200', 'hs3 /a/2 connection'])
  assert.deepEqual(brief({ path: /1$/, to: 'hs2', method: 'PUT', from: 'hs1' }), ['hs2 /b/1 200'])
  assert.deepEqual(network.requests({ method: 'PUT' })[0]?.body, { x: 1 })
})

test('the log tells how many requests were in flight at the same time', async () => {
  const { clock, network, get } = setUp()
  network.fault('*', '*', { delayMs: 10 })
  const first = Promise.all([get('/'), get('/'), get('/')])
  await clock.advance(10)
  await first
  const second = Promise.all([get('/'), get('/')])
  await clock.advance(10)
  await second
  assert.equal(peakInFlight(network.requests()), 3)
})

test('a bug in a handler reaches whoever asks', async () => {
  const { network, hs1 } = setUp()
  network.host('broken', async () => {
    throw new TypeError('bug')
  })
  await assert.rejects(hs1.http(requestTo('broken', '/')), TypeError)
})

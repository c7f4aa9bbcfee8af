import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import { onSqlite } from '../../test/support/databases.ts'
import { createFakeClock, type FakeClock } from '../../test/support/fake-clock.ts'
import { jsonResponse, textResponse } from '../../test/support/responses.ts'
import { createSeededRandom } from '../../test/support/seeded-random.ts'
import { createSignatureCheck } from '../../test/support/signed-requests.ts'
import type { FederationAnswer, FederationRequest } from '../matrix/federation.ts'
import type { ServerName } from '../matrix/ids.ts'
import { signingKeyFromSeed } from '../matrix/signing.ts'
import {
  type HttpRequest,
  type HttpResponse,
  type Network,
  NetworkError,
  type NetworkFailure,
} from '../platform/network.ts'
import { createFederationClient, type FederationClient } from './client.ts'
import { createDestinations, type Destinations } from './destinations.ts'
import { publishedKeys } from './own-keys.ts'

const NEAR = 'near.example' as ServerName
const FAR = 'far.example' as ServerName
const DENIED = 'denied.example' as ServerName
const ROUTE = { addresses: ['5.0.0.1', '5.0.0.2'], port: 443, tlsName: 'delegated.example', host: 'delegated.example' }
const GET: FederationRequest = { method: 'GET', path: '/_matrix/federation/v1/query?a=%20b', timeoutMs: 30_000 }
const signingKey = signingKeyFromSeed('ed25519:near', createSeededRandom('client').bytes(32))

onSqlite((database) => {
  let clock: FakeClock
  let destinations: Destinations
  let client: FederationClient
  let asked: HttpRequest[]
  let answer: () => HttpResponse | Promise<HttpResponse>
  let resolve: () => Promise<typeof ROUTE>

  beforeEach(async () => {
    clock = createFakeClock()
    const store = await database.open()
    const random = { ...createSeededRandom('destinations'), fraction: () => 1 }
    const settings = { retryBase: 2_000, retryCapEarly: 20_000, retryCapWaited: 600_000, silenceSuspect: 900_000 }
    destinations = createDestinations({ store, clock, random, settings })
    asked = []
    answer = () => jsonResponse(200, {})
    resolve = async () => ROUTE
    client = createFederationClient({
      clock,
      network: networkOf(async (request) => {
        asked.push(request)
        return answer()
      }),
      discovery: { known: () => undefined, resolve: () => resolve() },
      destinations,
      serverName: NEAR,
      signingKey,
      isAllowed: (serverName) => serverName !== DENIED,
    })
  })

  const networkOf = (http: Network['http']): Network => ({
    http,
    dns: { addresses: async () => ['5.0.0.9'], srv: async () => [] },
  })

  /** Whether the request that was made last is signed for `destination`. */
  async function checkFor(destination: string) {
    const keys = networkOf(async () => jsonResponse(200, publishedKeys(NEAR, signingKey, clock.now())))
    return createSignatureCheck(destination, keys, clock).check(asked.at(-1)!)
  }

  function failureOf(result: FederationAnswer): string {
    assert.equal(result.kind, 'failure')
    return (result as { failure: string }).failure
  }

  test('a request goes where the name leads, with path and limits as they were given', async () => {
    await client.request(FAR, GET)
    const { addresses, port, tlsName, host, method, path, timeoutMs, maxBytes, headers, body } = asked[0]!
    assert.deepEqual({ addresses, port, tlsName, host }, ROUTE)
    assert.deepEqual({ method, path, timeoutMs, maxBytes }, { ...GET, maxBytes: 10 * 1024 * 1024 })
    assert.deepEqual([headers['content-type'], body], [undefined, undefined])
    await client.request(FAR, { ...GET, maxBytes: 7 })
    assert.equal(asked[1]!.maxBytes, 7)
  })

  test('it is signed, for its destination and with its body', async () => {
    await client.request(FAR, GET)
    assert.deepEqual(await checkFor(FAR), { origin: NEAR })
    assert.ok('problem' in (await checkFor('other.example')))
    await client.request(FAR, { ...GET, method: 'PUT', body: { b: ['ä', { c: 1 }], a: undefined } })
    assert.deepEqual(await checkFor(FAR), { origin: NEAR })
    assert.equal(asked[1]!.headers['content-type'], 'application/json')
    const changed = { ...asked[1]!, body: '{"b":["ä",{"c":2}]}' }
    asked.push(changed)
    assert.ok('problem' in (await checkFor(FAR)))
  })

  test('numbers that canonical JSON does not know, as clients send them, do not stop a request', async () => {
    const { kind } = await client.request(FAR, { ...GET, method: 'PUT', body: { a: 1.5 } })
    assert.equal(kind, 'answer')
    assert.equal(asked[0]!.body, '{"a":1.5}')
  })

  test('an answer: its status, headers and parsed body', async () => {
    answer = () => jsonResponse(404, { errcode: 'M_NOT_FOUND' }, { 'x-a': 'b' })
    const headers = { 'content-type': 'application/json', 'x-a': 'b' }
    assert.deepEqual(await client.request(FAR, GET), {
      kind: 'answer',
      status: 404,
      headers,
      body: { errcode: 'M_NOT_FOUND' },
    })
    for (const text of ['', '<html>']) {
      answer = () => textResponse(200, text)
      const result = await client.request(FAR, GET)
      assert.deepEqual(result, { kind: 'answer', status: 200, headers: {}, body: undefined })
    }
  })

  test('a server that the settings deny is not asked, nor is this one itself', async () => {
    for (const name of [DENIED, NEAR]) assert.equal(failureOf(await client.request(name, GET)), 'denied')
    assert.deepEqual([client.isAllowed(DENIED), client.isAllowed(FAR)], [false, true])
    assert.deepEqual(asked, [])
  })

  const failures: [failure: NetworkFailure, failures: number][] = [
    ['timeout', 2],
    ['connection', 2],
    ['tls', 2],
    ['name', 2],
    ['forbidden_address', 2],
    ['too_large', 0],
    ['aborted', 1],
  ]
  for (const [failure, expected] of failures) {
    test(`after a failure: ${failure} leaves ${expected} behind`, async () => {
      await destinations.recordFailure(FAR, 'before')
      await clock.advance(2_000)
      answer = () => {
        throw new NetworkError(failure, 'what went wrong')
      }
      const result = await client.request(FAR, GET)
      assert.deepEqual(result, { kind: 'failure', failure, detail: 'what went wrong' })
      const { failures, lastError } = await destinations.backoffOf(FAR)
      assert.equal(failures, expected)
      if (failures === 2) assert.equal(lastError, `${failure}: what went wrong`)
    })
  }

  const statuses: [status: number, failures: number][] = [
    [200, 0],
    [302, 0],
    [401, 0],
    [404, 0],
    [429, 1],
    [500, 2],
    [502, 2],
  ]
  for (const [status, expected] of statuses) {
    test(`after a failure: ${status} leaves ${expected} behind`, async () => {
      await destinations.recordFailure(FAR, 'before')
      await clock.advance(2_000)
      answer = () => textResponse(status, '')
      assert.equal((await client.request(FAR, GET)).kind, 'answer')
      assert.equal((await destinations.backoffOf(FAR)).failures, expected)
    })
  }

  test('a name that leads nowhere is a failure like others', async () => {
    resolve = () => Promise.reject(new NetworkError('name', 'no such name'))
    assert.equal(failureOf(await client.request(FAR, GET)), 'name')
    assert.equal((await destinations.backoffOf(FAR)).lastError, 'name: no such name')
  })

  test('while the destination rests nobody is asked, unless somebody insists', async () => {
    answer = () => textResponse(503, '')
    await client.request(FAR, GET)
    const result = await client.request(FAR, GET)
    assert.equal(failureOf(result), 'backed_off')
    assert.equal((result as { retryAt: number }).retryAt, clock.now() + 2_000)
    assert.equal(asked.length, 1)
    await client.request(FAR, { ...GET, urgency: 'insist' })
    assert.equal(asked.length, 2)
  })

  test('a wait that the destination asks for holds also for who insists', async () => {
    answer = () => jsonResponse(429, { retry_after_ms: 9_000 }, { 'retry-after': '7' })
    await client.request(FAR, GET)
    answer = () => jsonResponse(200, {})
    const insisting = { ...GET, urgency: 'insist' } as const
    await clock.advance(8_999)
    assert.equal(failureOf(await client.request(FAR, insisting)), 'backed_off')
    assert.equal(asked.length, 1)
    await clock.advance(1)
    assert.equal((await client.request(FAR, insisting)).kind, 'answer')
  })

  test('a wait that comes with an error of its own counts beside the back-off', async () => {
    answer = () => textResponse(503, '', { 'retry-after': '100' })
    await client.request(FAR, GET)
    const { failures, retryAfterUntil } = await destinations.backoffOf(FAR)
    assert.deepEqual([failures, retryAfterUntil], [1, clock.now() + 100_000])
  })

  test('who may not go to an address is stopped before anything is sent, and nothing is noted', async () => {
    const seen: string[] = []
    const admit = async (address: string) => {
      seen.push(address)
      return false
    }
    assert.equal(failureOf(await client.request(FAR, { ...GET, admit })), 'limited')
    assert.deepEqual([seen, asked], [['5.0.0.1'], []])
    assert.equal((await destinations.backoffOf(FAR)).failures, 0)
  })

  test('what is no failure of the network is thrown', async () => {
    answer = () => {
      throw new TypeError('a bug')
    }
    await assert.rejects(client.request(FAR, GET), TypeError)
  })
})

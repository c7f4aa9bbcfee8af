import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import { forEachDatabase } from '../../test/support/databases.ts'
import { createFakeClock, type FakeClock } from '../../test/support/fake-clock.ts'
import { jsonResponse, textResponse } from '../../test/support/responses.ts'
import { createSeededRandom } from '../../test/support/seeded-random.ts'
import type { ServerName } from '../matrix/ids.ts'
import { type SigningKey, signingKeyFromSeed, signJson } from '../matrix/signing.ts'
import { silentLogger } from '../platform/logger.ts'
import { type HttpRequest, type HttpResponse, NetworkError } from '../platform/network.ts'
import type { Store } from '../storage/store.ts'
import { createKeyRing, type KeyRing } from './key-ring.ts'

const FAR = 'far.example' as ServerName
const ROUTE = { addresses: ['5.0.0.1'], port: 8448, tlsName: 'far.example', host: 'far.example' }
const HOUR = 3_600_000
const ASK_INTERVAL_MS = 30_000

const random = createSeededRandom('ring')
const [one, two] = ['ed25519:1', 'ed25519:2'].map((id) => signingKeyFromSeed(id, random.bytes(32))) as [
  SigningKey,
  SigningKey,
]

forEachDatabase((database) => {
  let clock: FakeClock
  let asked: HttpRequest[]
  let answer: () => HttpResponse | Promise<HttpResponse>

  beforeEach(() => {
    clock = createFakeClock(undefined, { settle: database.settle })
    asked = []
    answer = () => published([one], 24 * HOUR)
  })

  /** What a server with these keys answers. */
  function published(keys: SigningKey[], validMs: number, serverName = FAR as string): HttpResponse {
    const body = {
      server_name: serverName,
      valid_until_ts: clock.now() + validMs,
      verify_keys: Object.fromEntries(keys.map((key) => [key.keyId, { key: key.publicKey }])),
    }
    return jsonResponse(
      200,
      keys.reduce((signed, key) => signJson(signed, serverName, key), body),
    )
  }

  function ringOn(store: Store): KeyRing {
    const network = {
      async http(request: HttpRequest) {
        asked.push(request)
        return answer()
      },
      dns: { addresses: async () => [], srv: async () => [] },
    }
    const discovery = { known: () => undefined, resolve: async () => ROUTE }
    return createKeyRing({ store, clock, network, discovery, log: silentLogger })
  }

  test('a server is asked for its keys once, where its name leads', async () => {
    const ring = ringOn(await database.open())
    assert.equal((await ring.keyFor(FAR, one.keyId))?.publicKey, one.publicKey)
    await clock.advance(HOUR)
    assert.ok(await ring.keyFor(FAR, one.keyId))
    assert.equal(asked.length, 1)
    const { method, path, addresses, port, tlsName, host } = asked[0]!
    assert.deepEqual({ addresses, port, tlsName, host }, ROUTE)
    assert.deepEqual([method, path], ['GET', '/_matrix/key/v2/server'])
  })

  test('whoever asks at the same time shares one request', async () => {
    const ring = ringOn(await database.open())
    const keys = await Promise.all(
      [one, one, two, one].map(({ keyId }) => ring.keyFor(FAR, keyId).then((key) => key?.publicKey)),
    )
    assert.deepEqual(keys, [one.publicKey, one.publicKey, undefined, one.publicKey])
    assert.equal(asked.length, 1)
  })

  test('a key whose time is over is refused, unless the server prolongs it', async () => {
    const ring = ringOn(await database.open())
    answer = () => published([one], HOUR)
    await ring.keyFor(FAR, one.keyId)
    answer = () => textResponse(503, '')
    await clock.advance(HOUR - 1)
    assert.ok(await ring.keyFor(FAR, one.keyId))
    await clock.advance(1)
    assert.equal(await ring.keyFor(FAR, one.keyId), undefined)
    assert.equal(asked.length, 2)
    answer = () => published([one], HOUR)
    await clock.advance(ASK_INTERVAL_MS)
    assert.ok(await ring.keyFor(FAR, one.keyId))
  })

  test('a key that is published as over already is refused', async () => {
    const ring = ringOn(await database.open())
    answer = () => published([one], 0)
    assert.equal(await ring.keyFor(FAR, one.keyId), undefined)
  })

  test('unknown key IDs make the server be asked again, but not often', async () => {
    const ring = ringOn(await database.open())
    await ring.keyFor(FAR, one.keyId)
    answer = () => published([one, two], HOUR)
    await clock.advance(ASK_INTERVAL_MS - 1)
    for (let n = 0; n < 10; n++) assert.equal(await ring.keyFor(FAR, `ed25519:made_up_${n}`), undefined)
    assert.equal(await ring.keyFor(FAR, two.keyId), undefined)
    assert.equal(asked.length, 1)
    await clock.advance(1)
    assert.ok(await ring.keyFor(FAR, two.keyId))
    assert.equal(asked.length, 2)
  })

  test('a server that cannot be asked is not asked often either', async () => {
    const ring = ringOn(await database.open())
    answer = () => {
      throw new NetworkError('connection', 'refused')
    }
    for (let n = 0; n < 5; n++) assert.equal(await ring.keyFor(FAR, one.keyId), undefined)
    assert.equal(asked.length, 1)
    // A clock that was set back is no reason not to ask.
    clock.set(clock.now() - HOUR)
    answer = () => published([one], HOUR)
    assert.ok(await ring.keyFor(FAR, one.keyId))
  })

  test('keys outlive a restart, until their time is over', async () => {
    const data = await database.create()
    const before = await data.open()
    answer = () => published([one], HOUR)
    await ringOn(before).keyFor(FAR, one.keyId)
    await before.close()
    answer = () => textResponse(503, '')
    const ring = ringOn(await data.open())
    assert.equal((await ring.keyFor(FAR, one.keyId))?.publicKey, one.publicKey)
    assert.equal(asked.length, 1)
    await clock.advance(HOUR)
    assert.equal(await ring.keyFor(FAR, one.keyId), undefined)
  })

  test('a key that the server no longer lists is good no more', async () => {
    const data = await database.create()
    const store = await data.open()
    const ring = ringOn(store)
    await ring.keyFor(FAR, one.keyId)
    answer = () => published([two], HOUR)
    await clock.advance(ASK_INTERVAL_MS)
    assert.ok(await ring.keyFor(FAR, two.keyId))
    assert.equal(await ring.keyFor(FAR, one.keyId), undefined)
    await store.close()
    const restarted = ringOn(await data.open())
    assert.ok(await restarted.keyFor(FAR, two.keyId))
    assert.equal(await restarted.keyFor(FAR, one.keyId), undefined)
  })

  const lies: [name: string, lie: () => HttpResponse][] = [
    ['the keys of another server', () => published([one], HOUR, 'other.example')],
    [
      'a key under the ID of another',
      () => published([{ ...two, keyId: one.keyId, privateKey: one.privateKey }], HOUR),
    ],
    ['no JSON', () => textResponse(200, '<html>')],
    ['an error with keys in it', () => ({ ...published([one], HOUR), status: 500 })],
    ['a redirect', () => textResponse(302, '', { location: 'https://evil.example/' })],
  ]
  for (const [name, lie] of lies) {
    test(`${name}: no key, and those that were known stay`, async () => {
      const ring = ringOn(await database.open())
      answer = lie
      assert.equal(await ring.keyFor(FAR, one.keyId), undefined)
      answer = () => published([two], HOUR)
      await clock.advance(ASK_INTERVAL_MS)
      assert.ok(await ring.keyFor(FAR, two.keyId))
      answer = lie
      await clock.advance(ASK_INTERVAL_MS)
      assert.equal(await ring.keyFor(FAR, one.keyId), undefined)
      assert.equal((await ring.keyFor(FAR, two.keyId))?.publicKey, two.publicKey)
      assert.equal(asked.length, 3)
    })
  }
})

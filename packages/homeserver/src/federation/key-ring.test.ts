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
import { ownVerifyKeys } from './own-keys.ts'

const FAR = 'far.example' as ServerName
const OWN = 'own.example' as ServerName
const DENIED = 'denied.example' as ServerName
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
  function published(
    keys: SigningKey[],
    validMs: number,
    serverName = FAR as string,
    oldKeys: object = {},
  ): HttpResponse {
    const body = {
      old_verify_keys: oldKeys,
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
    const own = { serverName: OWN, keys: ownVerifyKeys(one, [{ ...two, expiredAt: clock.now() }]) }
    return createKeyRing({
      store,
      clock,
      network,
      discovery,
      log: silentLogger,
      own,
      isAllowed: (name) => name !== DENIED,
    })
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

  test('a key is good for events of before its end, and its end is as the room version sees it', async () => {
    const ring = ringOn(await database.open())
    const now = clock.now()
    assert.ok(await ring.keyForEvent(FAR, one.keyId, now - HOUR, true))
    assert.ok(await ring.keyForEvent(FAR, one.keyId, now + 24 * HOUR, true))
    answer = () => textResponse(503, '')
    assert.equal(await ring.keyForEvent(FAR, one.keyId, now + 24 * HOUR + 1, true), undefined)
    assert.ok(await ring.keyForEvent(FAR, one.keyId, now + 24 * HOUR + 1, false))
  })

  test('old keys, said to be so or no longer listed, are good for the events of their time alone', async () => {
    const data = await database.create()
    const store = await data.open()
    const before = ringOn(store)
    const start = clock.now()
    const three = signingKeyFromSeed('ed25519:3', random.bytes(32))
    await before.keyFor(FAR, one.keyId)
    const old = { [two.keyId]: { key: two.publicKey, expired_ts: start - HOUR } }
    answer = () => published([three], 24 * HOUR, FAR, old)
    await clock.advance(ASK_INTERVAL_MS)
    const check = async (ring: KeyRing) => {
      assert.ok(await ring.keyForEvent(FAR, two.keyId, start - HOUR, true))
      assert.equal(await ring.keyForEvent(FAR, two.keyId, start, true), undefined)
      assert.ok(await ring.keyForEvent(FAR, two.keyId, start, false))
      assert.ok(await ring.keyForEvent(FAR, one.keyId, start, true))
      assert.equal(await ring.keyForEvent(FAR, one.keyId, clock.now() + 1, true), undefined)
      for (const key of [one, two]) assert.equal(await ring.keyFor(FAR, key.keyId), undefined)
    }
    await check(before)
    await store.close()
    await check(ringOn(await data.open()))
  })

  test('for events, a server that does not answer is asked again after a while only', async () => {
    const ring = ringOn(await database.open())
    answer = () => {
      throw new NetworkError('timeout', 'silence')
    }
    for (let n = 0; n < 10; n++) {
      assert.equal(await ring.keyForEvent(FAR, one.keyId, clock.now(), true), undefined)
      await clock.advance(ASK_INTERVAL_MS - 1)
    }
    assert.equal(asked.length, 1)
    answer = () => published([one], HOUR)
    await clock.advance(ASK_INTERVAL_MS)
    assert.ok(await ring.keyForEvent(FAR, one.keyId, clock.now(), true))
    assert.equal(asked.length, 2)
  })

  test('our own events are verified with our own keys, and nobody is asked', async () => {
    const ring = ringOn(await database.open())
    assert.ok(await ring.keyForEvent(OWN, one.keyId, clock.now() + HOUR, true))
    assert.ok(await ring.keyForEvent(OWN, two.keyId, clock.now(), true))
    assert.equal(await ring.keyForEvent(OWN, two.keyId, clock.now() + 1, true), undefined)
    assert.equal(await ring.keyForEvent(OWN, 'ed25519:none', clock.now(), true), undefined)
    assert.equal(await ring.keyForEvent(DENIED, one.keyId, clock.now(), true), undefined)
    assert.equal(asked.length, 0)
  })

  test('a server that changes its key all the time does not fill the database', async () => {
    const store = await database.open()
    const ring = ringOn(store)
    for (let n = 0; n < 60; n++) {
      const key = signingKeyFromSeed(`ed25519:n${n}`, random.bytes(32))
      answer = () => published([key], HOUR)
      assert.ok(await ring.keyFor(FAR, key.keyId))
      await clock.advance(ASK_INTERVAL_MS)
    }
    const rows = await store.db.selectFrom('server_keys').select('key_id').execute()
    assert.equal(rows.length, 51)
    assert.ok(!rows.some((row) => row.key_id === 'ed25519:n0') && rows.some((row) => row.key_id === 'ed25519:n58'))
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

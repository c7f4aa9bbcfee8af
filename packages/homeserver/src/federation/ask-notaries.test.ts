import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachDatabase } from '../../test/support/databases.ts'
import { createFakeClock, type FakeClock } from '../../test/support/fake-clock.ts'
import { jsonResponse } from '../../test/support/responses.ts'
import { createSeededRandom } from '../../test/support/seeded-random.ts'
import type { ServerName } from '../matrix/ids.ts'
import { type SigningKey, signingKeyFromSeed, signJson } from '../matrix/signing.ts'
import { silentLogger } from '../platform/logger.ts'
import { type HttpRequest, type HttpResponse, NetworkError } from '../platform/network.ts'
import type { Store } from '../storage/store.ts'
import { createKeyRing } from './key-ring.ts'

const NOTARY = 'notary.example' as ServerName
const GONE = ['one.example', 'two.example', 'three.example'] as ServerName[]
const HOUR = 3_600_000
const random = createSeededRandom('notaries')
const keyOf = Object.fromEntries(
  [NOTARY, ...GONE, 'forger.example'].map((name) => [name, signingKeyFromSeed('ed25519:1', random.bytes(32))]),
) as Record<string, SigningKey>

/** What a server says of its keys. */
function said(name: string, clock: FakeClock, key = keyOf[name]!): object {
  const keys = { [key.keyId]: { key: key.publicKey } }
  const body = { server_name: name, valid_until_ts: clock.now() + HOUR, verify_keys: keys, old_verify_keys: {} }
  return signJson(body, name, key)
}

forEachDatabase((database) => {
  /** A key ring whose notary answers with what `answer` makes of the servers that it is asked about. */
  function world(store: Store, answer: (names: string[], clock: FakeClock) => object[]) {
    const clock = createFakeClock(undefined, { settle: database.settle })
    const asked: string[][] = []
    const respond = (request: HttpRequest): HttpResponse => {
      if (request.host !== NOTARY) throw new NetworkError('connection', 'gone')
      if (request.method === 'GET') return jsonResponse(200, said(NOTARY, clock))
      const names = Object.keys(JSON.parse(request.body!).server_keys)
      asked.push(names)
      return jsonResponse(200, { server_keys: answer(names, clock) })
    }
    const ring = createKeyRing({
      store,
      clock,
      network: { http: async (request) => respond(request), dns: { addresses: async () => [], srv: async () => [] } },
      discovery: {
        known: () => undefined,
        resolve: async (name) => ({ addresses: ['5.0.0.1'], port: 8448, tlsName: name, host: name }),
      },
      log: silentLogger,
      own: { serverName: 'own.example' as ServerName, keys: [] },
      isAllowed: () => true,
      notaries: [NOTARY],
    })
    const keys = async (names: readonly ServerName[]) => {
      const found = Promise.all(names.map((name) => ring.keyForEvent(name, 'ed25519:1', clock.now(), true)))
      for (let n = 0; n < 3; n++) await clock.advance(50)
      return (await found).map((key) => key?.publicKey)
    }
    return { clock, asked, keys }
  }

  const vouched = (names: string[], clock: FakeClock) =>
    names.map((name) => signJson(said(name, clock), NOTARY, keyOf[NOTARY]!))

  test('servers that are gone: a notary is asked once about all of them, and its word is kept', async () => {
    const store = await database.open()
    const { asked, keys } = world(store, vouched)
    const expected = GONE.map((name) => keyOf[name]!.publicKey)
    assert.deepEqual(await keys(GONE), expected)
    assert.deepEqual(
      asked.map((names) => names.toSorted()),
      [GONE.toSorted()],
    )
    const again = world(store, () => [])
    assert.deepEqual(await again.keys(GONE), expected)
    assert.deepEqual(again.asked, [])
  })

  test('nothing is believed that the notary or the server itself has not signed', async () => {
    const forged: [what: string, answer: (names: string[], clock: FakeClock) => object[]][] = [
      ['the notary has not signed', (names, clock) => names.map((name) => said(name, clock))],
      [
        'another has signed in its name',
        (names, clock) => names.map((name) => signJson(said(name, clock), NOTARY, keyOf['forger.example']!)),
      ],
      [
        'the server has not signed',
        (names, clock) =>
          names.map((name) => {
            const { signatures: _, ...bare } = said(name, clock) as { signatures: object }
            return signJson(bare, NOTARY, keyOf[NOTARY]!)
          }),
      ],
      ['is of another server', (_, clock) => vouched(['forger.example'], clock)],
      ['is nothing', () => []],
      ['is no object', () => [null, 1, [], 'x'] as never],
    ]
    for (const [what, answer] of forged) {
      assert.deepEqual(await world(await database.open(), answer).keys(GONE.slice(0, 1)), [undefined], what)
    }
  })
})

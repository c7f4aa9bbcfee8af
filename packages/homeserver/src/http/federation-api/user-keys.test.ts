import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachDatabase } from '../../../test/support/databases.ts'
import { createSeededRandom } from '../../../test/support/seeded-random.ts'
import { confirmation } from '../../../test/support/test-client.ts'
import { createTestIdentity } from '../../../test/support/test-keys.ts'
import { testNetwork } from '../../../test/support/test-network.ts'

const ALGORITHM = 'signed_curve25519'

forEachDatabase((database) => {
  async function world() {
    const net = await testNetwork(['hs1'], { database })
    const far = net.remote('far.example')
    const alice = await net.servers.hs1.register('alice')
    const post = (what: 'query' | 'claim', body: object) =>
      far.request('hs1', { method: 'POST', path: `/_matrix/federation/v1/user/keys/${what}`, body })
    const claim = (users: object) => post('claim', { one_time_keys: users })
    const query = (users: object) => post('query', { device_keys: users })
    return { ...net, far, alice, post, claim, query }
  }

  test('a query shows the devices that were asked for, or all', async () => {
    const { alice, query } = await world()
    const tablet = await alice.login('TABLET')
    const seen = async (devices: string[]) => (await query({ [alice.userId]: devices })).body.device_keys[alice.userId]
    assert.deepEqual(Object.keys(await seen([])).sort(), [alice.deviceId, 'TABLET'].sort())
    const { unsigned, ...keys } = (await seen(['TABLET', 'NONE'])).TABLET
    assert.deepEqual(keys, tablet.device.deviceKeys)
    assert.deepEqual(Object.keys(await seen(['TABLET'])), ['TABLET'])
  })

  test('a query shows the cross-signing keys, but never the user-signing key', async () => {
    const { alice, query } = await world()
    const identity = createTestIdentity(createSeededRandom('alice'), alice.userId)
    const { status } = await alice.request('POST', '/keys/device_signing/upload', {
      master_key: identity.masterKey,
      self_signing_key: identity.selfSigningKey,
      user_signing_key: identity.userSigningKey,
      auth: confirmation(alice),
    })
    assert.equal(status, 200)
    const { body } = await query({ [alice.userId]: [] })
    assert.deepEqual(body.master_keys, { [alice.userId]: identity.masterKey })
    assert.deepEqual(body.self_signing_keys, { [alice.userId]: identity.selfSigningKey })
    const [publicKey] = Object.values(identity.userSigningKey.keys as object)
    assert.ok(!JSON.stringify(body).includes(publicKey))
  })

  test('a query for users of other servers, or for nobody, shows nothing and asks nobody', async () => {
    const { far, query, network, rooms, alice, settle } = await world()
    const bob = far.addUser('bob')
    bob.addDevice('PHONE')
    await rooms.share([alice, bob])
    await settle()
    const before = network.requests({ from: 'hs1', path: '/_matrix/federation' }).length
    const { status, body } = await query({ [bob.userId]: [], '@carol:third.example': [], '@nobody:hs1': [] })
    assert.equal(status, 200)
    assert.deepEqual(body.device_keys, {})
    assert.equal(network.requests({ from: 'hs1', path: '/_matrix/federation' }).length, before)
  })

  test('a key is claimed once, the fallback key again and again', async () => {
    const { alice, claim } = await world()
    const [fallbackName, fallback] = alice.device.oneTimeKey({ fallback: true })
    const [name, key] = alice.device.oneTimeKey()
    await alice.request('POST', '/keys/upload', {
      one_time_keys: { [name]: key },
      fallback_keys: { [fallbackName]: fallback },
    })
    const wanted = { [alice.userId]: { [alice.deviceId]: ALGORITHM } }
    const claimed = async () => (await claim(wanted)).body.one_time_keys[alice.userId][alice.deviceId]
    assert.deepEqual(await claimed(), { [name]: key })
    assert.deepEqual(await claimed(), { [fallbackName]: fallback })
    assert.deepEqual(await claimed(), { [fallbackName]: fallback })
  })

  test('claims at the same time get different keys', async () => {
    const { alice, claim } = await world()
    await alice.uploadKeys(10)
    const wanted = { [alice.userId]: { [alice.deviceId]: ALGORITHM } }
    const answers = await Promise.all(Array.from({ length: 12 }, () => claim(wanted)))
    const names = answers.flatMap(({ body }) => Object.keys(body.one_time_keys[alice.userId]?.[alice.deviceId] ?? {}))
    assert.deepEqual([names.length, new Set(names).size], [10, 10])
  })

  test('nothing is claimed from devices that do not exist, or of other servers', async () => {
    const { alice, far, claim, network } = await world()
    const bob = far.addUser('bob')
    const { status, body } = await claim({
      [alice.userId]: { NONE: ALGORITHM, [alice.deviceId]: 'other' },
      '@nobody:hs1': { A: ALGORITHM },
      [bob.userId]: { PHONE: ALGORITHM },
    })
    assert.deepEqual([status, body.one_time_keys[bob.userId]], [200, undefined])
    assert.deepEqual(
      Object.values(body.one_time_keys).flatMap((devices) => Object.values(devices as object)),
      [],
    )
    assert.deepEqual(network.requests({ from: 'hs1', path: '/_matrix/federation' }), [])
  })

  const wrong: [name: string, what: 'query' | 'claim', body: object][] = [
    ['a query without users', 'query', {}],
    ['a query that is a list', 'query', { device_keys: [] }],
    ['a query for who is no user', 'query', { device_keys: { alice: [] } }],
    ['a query for devices that are no texts', 'query', { device_keys: { '@alice:hs1': [1] } }],
    ['a claim without users', 'claim', {}],
    ['a claim that is a text', 'claim', { one_time_keys: 'all' }],
    ['a claim for who is no user', 'claim', { one_time_keys: { alice: {} } }],
    ['a claim of an algorithm that is no text', 'claim', { one_time_keys: { '@alice:hs1': { A: 1 } } }],
  ]
  test('what is no query or claim is refused', async () => {
    const { post } = await world()
    for (const [name, what, body] of wrong) {
      const answer = await post(what, body)
      assert.deepEqual([answer.status, answer.body.errcode], [400, 'M_BAD_JSON'], name)
    }
  })
})

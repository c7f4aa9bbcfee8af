import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachDatabase } from '../../test/support/databases.ts'
import { createSeededRandom } from '../../test/support/seeded-random.ts'
import type { ClientAnswer, TestClient } from '../../test/support/test-client.ts'
import { createTestDevice, createTestIdentity } from '../../test/support/test-keys.ts'
import { testNetwork } from '../../test/support/test-network.ts'
import type { JsonObject } from '../matrix/json.ts'

const CURVE = 'signed_curve25519'
const codes = ({ status, body }: ClientAnswer) => [status, body.errcode]
const upload = (client: TestClient, body: object, path = '') => client.request('POST', `/keys/upload${path}`, body)
const newKeys = ({ device }: TestClient, count: number) => Array.from({ length: count }, () => device.oneTimeKey())
const changedFor = async (client: TestClient): Promise<string[]> => (await client.sync()).device_lists?.changed ?? []

/** Claims one key. @returns its name, with its algorithm */
async function claim(client: TestClient, algorithm = CURVE): Promise<string | undefined> {
  const one_time_keys = { [client.userId]: { [client.deviceId]: algorithm } }
  const { body } = await client.request('POST', '/keys/claim', { one_time_keys })
  return Object.keys(body.one_time_keys[client.userId]?.[client.deviceId] ?? {})[0]
}

async function deviceKeys(client: TestClient): Promise<JsonObject> {
  const { body } = await client.request('POST', '/keys/query', { device_keys: { [client.userId]: [] } })
  return body.device_keys[client.userId][client.deviceId]
}

forEachDatabase((database) => {
  const register = async () => (await testNetwork(['hs1'], { database })).servers.hs1.register('alice')

  test('one-time keys are counted by algorithm; those that are there already count once', async () => {
    const alice = await register()
    const [a, b, c, d] = newKeys(alice, 4)
    const counts = async (...keys: unknown[]) =>
      (await upload(alice, { one_time_keys: Object.fromEntries(keys as []) })).body.one_time_key_counts
    assert.deepEqual(await counts(a, b, c), { [CURVE]: 3 })
    assert.deepEqual(await counts(b, c, d, ['other:AAAA0000', 'a key that is a text']), { [CURVE]: 4, other: 1 })
    assert.deepEqual((await upload(alice, {})).body.one_time_key_counts, { [CURVE]: 4, other: 1 })
  })

  test('the same one-time key may come with another signature, but not with another key', async () => {
    const alice = await register()
    const [[name, key], [newName, newKey]] = newKeys(alice, 2) as [[string, JsonObject], [string, JsonObject]]
    await upload(alice, { one_time_keys: { [name]: key } })
    const again = await upload(alice, { one_time_keys: { [name]: { ...key, signatures: {} } } })
    assert.deepEqual(again.body.one_time_key_counts, { [CURVE]: 1 })
    const changed = { one_time_keys: { [newName]: newKey, [name]: newKey } }
    assert.deepEqual(codes(await upload(alice, changed)), [400, 'M_INVALID_PARAM'])
    assert.deepEqual((await upload(alice, {})).body.one_time_key_counts, { [CURVE]: 1 })
  })

  test('uploads at the same time lose no key', async () => {
    const alice = await register()
    const sets = Array.from({ length: 8 }, () => newKeys(alice, 5))
    await Promise.all(sets.map((keys) => upload(alice, { one_time_keys: Object.fromEntries(keys) })))
    const claimed = new Set<string | undefined>()
    for (let i = 0; i < 40; i++) claimed.add(await claim(alice))
    assert.deepEqual([...claimed].sort(), sets.flatMap((keys) => keys.map(([name]) => name)).sort())
    assert.equal(await claim(alice), undefined)
  })

  test('of two keys that come under one ID at the same time one is refused', async () => {
    const alice = await register()
    for (let n = 0; n < 8; n++) {
      const [[name, key], [, other]] = newKeys(alice, 2) as [[string, JsonObject], [string, JsonObject]]
      const answers = await Promise.all([key, other].map((one) => upload(alice, { one_time_keys: { [name]: one } })))
      assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 400])
    }
  })

  test('there is one fallback key an algorithm; it is used once given out, until another one comes', async () => {
    const alice = await register()
    const unused = async () => (await alice.sync()).device_unused_fallback_key_types
    const [first, second] = [alice.device.oneTimeKey({ fallback: true }), alice.device.oneTimeKey({ fallback: true })]
    assert.deepEqual(await unused(), [])
    const other = ['other:AAAA', 'a key'] as const
    await upload(alice, { fallback_keys: Object.fromEntries([first, other]) })
    assert.deepEqual((await unused()).sort(), ['other', CURVE])
    assert.deepEqual([await claim(alice), await claim(alice)], [first[0], first[0]])
    assert.deepEqual(await unused(), ['other'])
    await upload(alice, { fallback_keys: Object.fromEntries([first]) })
    assert.deepEqual(await unused(), ['other'], 'the same key again is used still')
    await upload(alice, { fallback_keys: Object.fromEntries([second]) })
    assert.deepEqual((await unused()).sort(), ['other', CURVE])
    assert.equal(await claim(alice), second[0])
    assert.deepEqual((await upload(alice, {})).body.one_time_key_counts, {}, 'a fallback key does not count')
  })

  test('what only other users can judge is taken as it is, and shown as it came', async () => {
    const alice = await register()
    const device_keys = {
      user_id: alice.userId,
      device_id: alice.deviceId,
      algorithms: [],
      keys: { [`ed25519:${alice.deviceId}`]: 'no key' },
      signatures: { [alice.userId]: { [`ed25519:${alice.deviceId}`]: 'no signature' } },
      'org.example.more': { nested: ['x'] },
    }
    assert.equal((await upload(alice, { device_keys: { ...device_keys, unsigned: { age: 7 } } })).status, 200)
    assert.deepEqual(await deviceKeys(alice), { ...device_keys, unsigned: {} })
  })

  test('identity keys that change are news, the same again are none', async () => {
    const alice = await register()
    await alice.sync()
    await upload(alice, { device_keys: alice.device.deviceKeys })
    assert.deepEqual(await changedFor(alice), [])
    const { deviceKeys: other } = createTestDevice(createSeededRandom('other keys'), alice.userId, alice.deviceId)
    await upload(alice, { device_keys: other })
    assert.deepEqual(await changedFor(alice), [alice.userId])
    assert.deepEqual(await deviceKeys(alice), { ...other, unsigned: {} })
  })

  test('the signature of the self-signing key outlives an upload of the same keys, not one of others', async () => {
    const alice = await register()
    const identity = createTestIdentity(createSeededRandom('identity'), alice.userId)
    const { masterKey: master_key, selfSigningKey: self_signing_key } = identity
    await alice.request('POST', '/keys/device_signing/upload', { master_key, self_signing_key })
    const signed = identity.sign(alice.device.deviceKeys)
    const body = { [alice.userId]: { [alice.deviceId]: signed } }
    assert.deepEqual((await alice.request('POST', '/keys/signatures/upload', body)).body, { failures: {} })
    await upload(alice, { device_keys: alice.device.deviceKeys })
    assert.deepEqual(await deviceKeys(alice), { ...signed, unsigned: {} })
    const { deviceKeys: other } = createTestDevice(createSeededRandom('other keys'), alice.userId, alice.deviceId)
    await upload(alice, { device_keys: other })
    assert.deepEqual(await deviceKeys(alice), { ...other, unsigned: {} })
  })

  test('a path may name the device, if it is the own one', async () => {
    const alice = await register()
    assert.equal((await upload(alice, {}, `/${alice.deviceId}`)).status, 200)
    assert.deepEqual(codes(await upload(alice, {}, '/OTHER')), [400, 'M_INVALID_PARAM'])
  })

  for (const [what, body, errcode] of [
    ['no object', [], 'M_BAD_JSON'],
    ['one-time keys as a list', { one_time_keys: [] }, 'M_BAD_JSON'],
    ['a key without an algorithm', { one_time_keys: { AAAA: 'key' } }, 'M_BAD_JSON'],
    ['a key that is none', { fallback_keys: { 'signed_curve25519:AAAA': { signatures: {} } } }, 'M_BAD_JSON'],
    ['a key ID that is too long', { one_time_keys: { [`a:${'x'.repeat(255)}`]: 'key' } }, 'M_BAD_JSON'],
    ['a key that is too large', { one_time_keys: { 'a:b': 'x'.repeat(5_000) } }, 'M_INVALID_PARAM'],
    ['a key without canonical form', { one_time_keys: { 'a:b': { key: 'x', y: 1.5 } } }, 'M_INVALID_PARAM'],
    ['too many keys', { one_time_keys: numbered(1_001) }, 'M_INVALID_PARAM'],
  ] as const) {
    test(`an upload with ${what} is refused`, async () => {
      const alice = await register()
      assert.deepEqual(codes(await upload(alice, body)), [400, errcode])
      assert.deepEqual((await upload(alice, {})).body.one_time_key_counts, {})
    })
  }

  test('device keys that are too large are refused', async () => {
    const alice = await register()
    const device_keys = { ...alice.device.deviceKeys, 'org.example': 'x'.repeat(40_000) }
    assert.deepEqual(codes(await upload(alice, { device_keys })), [400, 'M_INVALID_PARAM'])
  })

  test('a device may have ten thousand one-time keys and no more', async () => {
    const alice = await register()
    for (let at = 0; at < 10_000; at += 1_000) await upload(alice, { one_time_keys: numbered(1_000, at) })
    assert.deepEqual(codes(await upload(alice, { one_time_keys: numbered(1, 10_000) })), [400, 'M_INVALID_PARAM'])
    const again = await upload(alice, { one_time_keys: numbered(1_000) })
    assert.deepEqual(again.body.one_time_key_counts, { a: 10_000 })
  })
})

function numbered(count: number, from = 0): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, n) => [`a:${from + n}`, 'key']))
}

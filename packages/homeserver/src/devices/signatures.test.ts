import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachDatabase, type TestDatabase } from '../../test/support/databases.ts'
import { createSeededRandom } from '../../test/support/seeded-random.ts'
import { type ClientAnswer, confirmation, type TestClient } from '../../test/support/test-client.ts'
import { createTestIdentity, type TestIdentity } from '../../test/support/test-keys.ts'
import { testNetwork } from '../../test/support/test-network.ts'
import type { JsonObject } from '../matrix/json.ts'
import { signJson } from '../matrix/signing.ts'

const sign = (client: TestClient, signed: object) => client.request('POST', '/keys/signatures/upload', signed)
const query = async (by: TestClient, userId: string): Promise<ClientAnswer['body']> =>
  (await by.request('POST', '/keys/query', { device_keys: { [userId]: [] } })).body
const changedFor = async (client: TestClient): Promise<string[]> => (await client.sync()).device_lists?.changed ?? []
const publicKey = (key: JsonObject) => Object.values(key.keys as Record<string, string>)[0]!

/** Uploads cross-signing keys. */
async function crossSign(client: TestClient, seed = 'first'): Promise<TestIdentity> {
  const identity = createTestIdentity(createSeededRandom(`${seed} identity of ${client.userId}`), client.userId)
  const { masterKey: master_key, selfSigningKey: self_signing_key, userSigningKey: user_signing_key } = identity
  const body = { master_key, self_signing_key, user_signing_key, auth: confirmation(client) }
  assert.equal((await client.request('POST', '/keys/device_signing/upload', body)).status, 200)
  return identity
}

/** Alice and bob of one server share a room with each other and with carol of another; both are cross-signed. */
async function friends(database: TestDatabase) {
  const net = await testNetwork(['hs1'], { database })
  const [alice, bob] = [await net.servers.hs1.register('alice'), await net.servers.hs1.register('bob')]
  const far = net.remote('far.example')
  const carol = far.addUser('carol')
  carol.addDevice('PHONE')
  carol.setCrossSigning()
  await net.rooms.share([alice, bob, carol])
  const [hers, his] = [await crossSign(alice), await crossSign(bob)]
  await net.settle()
  for (const client of [alice, bob]) await client.sync()
  return { ...net, alice, bob, carol, far, hers, his }
}

forEachDatabase((database) => {
  test('a signature on a device is told to all who share a room, once', async () => {
    const { alice, bob, far, hers, settle } = await friends(database)
    const signed = hers.sign(alice.device.deviceKeys)
    const before = far.deviceEdus.length
    for (const expected of [[alice.userId], []]) {
      const { status, body } = await sign(alice, { [alice.userId]: { [alice.deviceId]: signed } })
      assert.deepEqual([status, body], [200, { failures: {} }])
      assert.deepEqual([await changedFor(alice), await changedFor(bob)], [expected, expected])
    }
    await settle()
    const told = far.deviceEdus.slice(before)
    assert.deepEqual(
      told.map(({ edu_type: type, content }) => [type, content.keys]),
      [['m.device_list_update', signed]],
    )
    assert.deepEqual((await query(bob, alice.userId)).device_keys[alice.userId][alice.deviceId].signatures, {
      [alice.userId]: signed.signatures![alice.userId as never],
    })
  })

  test("a device's signature on the own master key is told to all; another server gets the key anew", async () => {
    const { alice, bob, far, hers, settle } = await friends(database)
    const signed = signJson(hers.masterKey, alice.userId, alice.device.signingKey)
    const body = { [alice.userId]: { [publicKey(hers.masterKey)]: signed } }
    const before = far.deviceEdus.length
    for (const expected of [[alice.userId], []]) {
      assert.deepEqual((await sign(alice, body)).body, { failures: {} })
      assert.deepEqual([await changedFor(alice), await changedFor(bob)], [expected, expected])
    }
    await settle()
    assert.deepEqual(
      far.deviceEdus.slice(before).map(({ edu_type: type, content }) => [type, content.master_key]),
      [['m.signing_key_update', signed]],
    )
    assert.deepEqual((await query(bob, alice.userId)).master_keys[alice.userId], signed)
  })

  test("a signature on another's master key is told to the signer alone", async () => {
    const { alice, bob, carol, far, hers, his, settle } = await friends(database)
    const before = far.deviceEdus.length
    const { failures } = (
      await sign(alice, {
        [bob.userId]: { [publicKey(his.masterKey)]: hers.signUser(his.masterKey) },
        [carol.userId]: { [publicKey(carol.identity!.masterKey)]: hers.signUser(carol.identity!.masterKey) },
      })
    ).body
    assert.deepEqual(failures, {})
    assert.deepEqual((await changedFor(alice)).sort(), [bob.userId, carol.userId].sort())
    assert.deepEqual(await changedFor(bob), [])
    await settle()
    assert.equal(far.deviceEdus.length, before)
  })

  test('only signatures of the keys that may sign are kept', async () => {
    const { alice, bob, hers, his } = await friends(database)
    const byBob = his.sign(hers.sign(alice.device.deviceKeys))
    const master = signJson(hers.signUser(hers.masterKey), alice.userId, alice.device.signingKey)
    const body = { [alice.userId]: { [alice.deviceId]: byBob, [publicKey(hers.masterKey)]: master } }
    assert.deepEqual((await sign(alice, body)).body, { failures: {} })
    const seen = await query(alice, alice.userId)
    assert.deepEqual(seen.device_keys[alice.userId][alice.deviceId], {
      ...hers.sign(alice.device.deviceKeys),
      unsigned: {},
    })
    const byDevice = signJson(hers.masterKey, alice.userId, alice.device.signingKey)
    assert.deepEqual(seen.master_keys[alice.userId], byDevice)
    assert.equal(
      (await query(bob, bob.userId)).device_keys[bob.userId][bob.deviceId].signatures[alice.userId],
      undefined,
    )
  })

  test('each key that is not taken is named with its reason, and the others are taken', async () => {
    const { alice, bob, carol, hers, his } = await friends(database)
    const others = createTestIdentity(createSeededRandom('others'), alice.userId)
    const tablet = await alice.login('TABLET')
    const phone = hers.sign(alice.device.deviceKeys)
    const [hisKey, carolsKey] = [publicKey(his.masterKey), publicKey(carol.identity!.masterKey)]
    const flipped = structuredClone(phone) as ClientAnswer['body']
    for (const keyId of Object.keys(flipped.signatures[alice.userId])) flipped.signatures[alice.userId][keyId] = 'AAAA'
    const invalid = 'M_INVALID_SIGNATURE'
    const cases: [userId: string, key: string, signed: unknown, errcode: string][] = [
      [alice.userId, 'GONE', { ...phone, device_id: 'GONE' }, 'M_NOT_FOUND'],
      [alice.userId, 'TABLET', others.sign(tablet.device.deviceKeys), invalid],
      [bob.userId, hisKey, { ...hers.signUser(his.masterKey), usage: ['master', 'self_signing'] }, invalid],
      [carol.userId, carolsKey, others.signUser(carol.identity!.masterKey), invalid],
      ['@nobody:hs1', hisKey, { ...hers.signUser(his.masterKey), user_id: '@nobody:hs1' }, 'M_NOT_FOUND'],
      ['@nobody:far.example', hisKey, { ...his.masterKey, user_id: '@nobody:far.example' }, 'M_NOT_FOUND'],
      ['nobody', 'X', his.masterKey, 'M_NOT_FOUND'],
    ]
    const body: Record<string, Record<string, unknown>> = { [alice.userId]: { [alice.deviceId]: phone } }
    for (const [userId, key, signed] of cases) body[userId] = { ...body[userId], [key]: signed }
    const { status, body: answer } = await sign(alice, body)
    assert.equal(status, 200)
    const named = Object.entries(answer.failures).flatMap(([userId, keys]) =>
      Object.entries(keys as object).map(([key, { errcode }]) => `${userId} ${key} ${errcode}`),
    )
    assert.deepEqual(named.sort(), cases.map(([userId, key, , errcode]) => `${userId} ${key} ${errcode}`).sort())
    const seen = (await query(bob, alice.userId)).device_keys[alice.userId]
    assert.deepEqual(seen[alice.deviceId], { ...phone, unsigned: {} })

    for (const [what, signed] of [
      ['a broken signature', flipped],
      ['other keys', hers.sign({ ...alice.device.deviceKeys, algorithms: [] })],
      ['the user-signing key', hers.signUser(alice.device.deviceKeys)],
      ['nothing new', alice.device.deviceKeys],
      ['no object', 'x'],
      ['another user', { ...phone, user_id: bob.userId }],
    ] as const) {
      const { body } = await sign(alice, { [alice.userId]: { [alice.deviceId]: signed } })
      assert.equal(body.failures[alice.userId][alice.deviceId].errcode, invalid, what)
    }
    const wrongName = { [bob.userId]: { [bob.deviceId]: hers.signUser(his.masterKey) } }
    assert.equal((await sign(alice, wrongName)).body.failures[bob.userId][bob.deviceId].errcode, 'M_NOT_FOUND')
  })

  test('what was signed with the keys of before, or on a key of before, is shown no more', async () => {
    const { alice, bob, hers, his } = await friends(database)
    const masterSeen = async () => (await query(alice, bob.userId)).master_keys[bob.userId]
    const body = { [bob.userId]: { [publicKey(his.masterKey)]: hers.signUser(his.masterKey) } }
    await sign(alice, body)
    assert.deepEqual(await masterSeen(), hers.signUser(his.masterKey))
    const renewed = await crossSign(bob, 'second')
    assert.deepEqual(await masterSeen(), renewed.masterKey)
    assert.equal((await sign(alice, body)).body.failures[bob.userId][publicKey(his.masterKey)].errcode, 'M_NOT_FOUND')
  })

  test('a signature is not lost to an upload of keys at the same time, nor the keys to it', async () => {
    const { alice, hers } = await friends(database)
    const devices = await Promise.all(Array.from({ length: 6 }, () => alice.login()))
    await Promise.all(
      devices.flatMap(({ device, deviceId, uploadKeys }) => [
        sign(alice, { [alice.userId]: { [deviceId]: hers.sign(device.deviceKeys) } }),
        uploadKeys(3),
        sign(alice, {
          [alice.userId]: {
            [publicKey(hers.masterKey)]: signJson(hers.masterKey, alice.userId, device.signingKey),
          },
        }),
      ]),
    )
    const seen = await query(alice, alice.userId)
    for (const { device, deviceId } of devices) {
      assert.deepEqual(seen.device_keys[alice.userId][deviceId], { ...hers.sign(device.deviceKeys), unsigned: {} })
    }
    const signers = Object.keys(seen.master_keys[alice.userId].signatures[alice.userId])
    assert.deepEqual(signers.sort(), devices.map(({ device }) => device.signingKey.keyId).sort())
  })

  test('requests that are misshapen or too large are refused', async () => {
    const { servers } = await testNetwork(['hs1'], { database })
    const alice = await servers.hs1.register('alice')
    const tooMany = Object.fromEntries(Array.from({ length: 1_001 }, (_, n) => [`D${n}`, {}]))
    for (const body of [[], { [alice.userId]: [] }, { [alice.userId]: tooMany }]) {
      const { status, body: answer } = await sign(alice, body)
      assert.deepEqual([status, answer.errcode], [400, 'M_BAD_JSON'])
    }
  })
})

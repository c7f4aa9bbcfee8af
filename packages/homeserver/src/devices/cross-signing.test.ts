import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachDatabase } from '../../test/support/databases.ts'
import { createSeededRandom } from '../../test/support/seeded-random.ts'
import { type ClientAnswer, confirmation, type TestClient } from '../../test/support/test-client.ts'
import { createTestIdentity, type TestIdentity } from '../../test/support/test-keys.ts'
import { testNetwork } from '../../test/support/test-network.ts'
import { encodeBase64, signJson } from '../matrix/signing.ts'

const codes = ({ status, body }: ClientAnswer) => [status, body.errcode]
const newIdentity = (client: TestClient, seed = 'first') =>
  createTestIdentity(createSeededRandom(`${seed} identity of ${client.userId}`), client.userId)
const keysOf = (identity: TestIdentity) => ({
  master_key: identity.masterKey,
  self_signing_key: identity.selfSigningKey,
  user_signing_key: identity.userSigningKey,
})
const publicKey = (key: object) => Object.values((key as { keys: Record<string, string> }).keys)[0]!
const upload = (client: TestClient, keys: object, auth?: object) =>
  client.request('POST', '/keys/device_signing/upload', { ...keys, auth })
const query = async (by: TestClient, of: TestClient): Promise<ClientAnswer['body']> =>
  (await by.request('POST', '/keys/query', { device_keys: { [of.userId]: [] } })).body
const changedFor = async (client: TestClient): Promise<string[]> => (await client.sync()).device_lists?.changed ?? []

forEachDatabase((database) => {
  const register = async () => (await testNetwork(['hs1'], { database })).servers.hs1.register('alice')

  test('only the password of the own account confirms new keys', async () => {
    const { servers } = await testNetwork(['hs1'], { database })
    const [alice, bob] = [await servers.hs1.register('alice'), await servers.hs1.register('bob')]
    const [first, second] = [newIdentity(alice), newIdentity(alice, 'second')]
    await upload(alice, keysOf(first))
    const asked = await upload(alice, keysOf(second))
    assert.equal(asked.status, 401)
    assert.deepEqual(asked.body.flows, [{ stages: ['m.login.password'] }])
    assert.equal(asked.body.errcode, undefined)
    const { session } = asked.body
    const guess = await upload(alice, keysOf(second), { ...confirmation(alice, 'guess'), session })
    assert.deepEqual(codes(guess), [401, 'M_FORBIDDEN'])
    assert.equal((await upload(alice, keysOf(second), { ...confirmation(bob), session })).status, 403)
    assert.deepEqual((await query(alice, alice)).master_keys[alice.userId], first.masterKey)
    assert.equal((await upload(alice, keysOf(second), { ...confirmation(alice), session })).status, 200)
    assert.deepEqual((await query(alice, alice)).master_keys[alice.userId], second.masterKey)
  })

  test('keys beside a master key that is there are confirmed too, unless they are there as well', async () => {
    const alice = await register()
    const { master_key, self_signing_key, user_signing_key } = keysOf(newIdentity(alice))
    assert.equal((await upload(alice, { master_key })).status, 200)
    assert.equal((await upload(alice, { master_key, self_signing_key })).status, 401)
    assert.equal((await upload(alice, { self_signing_key })).status, 401)
    assert.equal((await upload(alice, { self_signing_key }, confirmation(alice))).status, 200)
    assert.equal((await upload(alice, { master_key, self_signing_key })).status, 200)
    assert.equal((await upload(alice, { master_key, self_signing_key, user_signing_key })).status, 401)
    assert.equal((await upload(alice, {})).status, 200)
  })

  test('a key that is the ID of a device is refused, and its whole upload', async () => {
    const alice = await register()
    const identity = newIdentity(alice)
    for (const key of [identity.masterKey, identity.selfSigningKey, identity.userSigningKey]) {
      const device = await alice.login(publicKey(key))
      assert.deepEqual(codes(await upload(alice, keysOf(identity))), [403, 'M_FORBIDDEN'])
      assert.deepEqual((await query(alice, alice)).master_keys, {})
      await device.request('POST', '/logout')
    }
    assert.equal((await upload(alice, keysOf(identity))).status, 200)
    for (const key of Object.values(keysOf(identity))) {
      await assert.rejects(alice.login(publicKey(key)), /400.*M_INVALID_PARAM/)
    }
  })

  test('of a key and a device with its name that come at the same time one is refused', async () => {
    const { servers } = await testNetwork(['hs1'], { database })
    for (let n = 0; n < 8; n++) {
      const user = await servers.hs1.register(`user${n}`)
      const identity = newIdentity(user)
      const login = user.login(publicKey(identity.masterKey)).then(
        () => true,
        () => false,
      )
      const [uploaded, loggedIn] = await Promise.all([upload(user, keysOf(identity)), login])
      assert.notEqual(uploaded.status === 200, loggedIn)
    }
  })

  test('keys that are none are refused', async () => {
    const alice = await register()
    const { masterKey, selfSigningKey } = newIdentity(alice)
    const other = publicKey(newIdentity(alice, 'second').masterKey)
    const short = encodeBase64(Buffer.alloc(31))
    const ofKeys = (keys: object) => ({ master_key: { ...masterKey, keys } })
    for (const [what, body] of [
      ['two keys', ofKeys({ ...(masterKey.keys as object), [`ed25519:${other}`]: other })],
      ['a key under the name of another', ofKeys({ [`ed25519:${other}`]: publicKey(masterKey) })],
      ['a key of another algorithm', ofKeys({ [`curve25519:${other}`]: other })],
      ['a key that is too short', ofKeys({ [`ed25519:${short}`]: short })],
      ['a key that is no text', ofKeys({ 'ed25519:1': 1 })],
      ['no usage', { master_key: { ...masterKey, usage: 'master' } }],
      ['another usage', { master_key: selfSigningKey }],
      ['a fraction', { master_key: { ...masterKey, x: 0.5 } }],
      ['too much', { master_key: { ...masterKey, x: 'x'.repeat(40_000) } }],
    ] as const) {
      assert.deepEqual(codes(await upload(alice, body)), [400, 'M_INVALID_PARAM'], what)
    }
    assert.deepEqual((await query(alice, alice)).master_keys, {})
  })

  test('keys must be signed by the master key that comes with them, or else by the one that is there', async () => {
    const alice = await register()
    const [first, second] = [newIdentity(alice), newIdentity(alice, 'second')]
    const { signatures: _, ...unsigned } = first.selfSigningKey
    for (const self_signing_key of [unsigned, { ...first.selfSigningKey, x: 1 }, second.selfSigningKey]) {
      const answer = await upload(alice, { master_key: first.masterKey, self_signing_key })
      assert.deepEqual(codes(answer), [400, 'M_INVALID_SIGNATURE'])
    }
    await upload(alice, { master_key: first.masterKey })
    const foreign = { user_signing_key: second.userSigningKey }
    assert.deepEqual(codes(await upload(alice, foreign, confirmation(alice))), [400, 'M_INVALID_SIGNATURE'])
    const own = { user_signing_key: first.userSigningKey }
    assert.equal((await upload(alice, own, confirmation(alice))).status, 200)
  })

  test('the same key with a further signature keeps those that it had', async () => {
    const alice = await register()
    const { masterKey } = newIdentity(alice)
    const tablet = await alice.login()
    const [one, other] = [alice, tablet].map(({ device }) => signJson(masterKey, alice.userId, device.signingKey))
    for (const master_key of [{ ...one, unsigned: { x: 1 } }, other]) {
      assert.equal((await upload(alice, { master_key })).status, 200)
    }
    const seen = (await query(alice, alice)).master_keys[alice.userId]
    const signatures = { [alice.userId]: { ...one!.signatures[alice.userId], ...other!.signatures[alice.userId] } }
    assert.deepEqual(seen, { ...masterKey, signatures })
  })

  test('everybody who shares a room is told of new keys, of a user-signing key its owner alone', async () => {
    const { servers, rooms, remote, settle } = await testNetwork(['hs1'], { database })
    const [alice, bob] = [await servers.hs1.register('alice'), await servers.hs1.register('bob')]
    const stranger = await servers.hs1.register('stranger')
    const far = remote('far.example')
    await rooms.share([alice, bob, far.addUser('carol')])
    await settle()
    for (const client of [alice, bob, stranger]) await client.sync()
    const told = async () => [await changedFor(alice), await changedFor(bob), await changedFor(stranger)]
    const identity = newIdentity(alice)
    const { user_signing_key, ...keys } = keysOf(identity)
    const signingKeyUpdates = () => far.received.filter(({ edu_type: type }) => type === 'm.signing_key_update')

    await upload(alice, keys)
    assert.deepEqual(await told(), [[alice.userId], [alice.userId], []])
    await settle()
    assert.deepEqual(
      signingKeyUpdates().map(({ content }) => content),
      [{ user_id: alice.userId, ...keys }],
    )

    await upload(alice, { user_signing_key }, confirmation(alice))
    assert.deepEqual(await told(), [[alice.userId], [], []])
    await upload(alice, keysOf(identity))
    assert.deepEqual(await told(), [[], [], []])
    await settle()
    assert.equal(signingKeyUpdates().length, 1)

    const renewed = newIdentity(alice, 'second')
    await upload(alice, keysOf(renewed), confirmation(alice))
    assert.deepEqual(await told(), [[alice.userId], [alice.userId], []])
    await settle()
    assert.deepEqual(signingKeyUpdates().at(-1)?.content, {
      user_id: alice.userId,
      master_key: renewed.masterKey,
      self_signing_key: renewed.selfSigningKey,
    })
  })

  test('a server that is down is told of the newest keys when it is back, however often they changed', async () => {
    const { servers, rooms, remote, network, until } = await testNetwork(['hs1'], { database })
    const alice = await servers.hs1.register('alice')
    const far = remote('far.example')
    await rooms.share([alice, far.addUser('carol')])
    network.partition(['hs1'], ['far.example'])
    for (const seed of ['first', 'second', 'third']) {
      await upload(alice, keysOf(newIdentity(alice, seed)), confirmation(alice))
    }
    await servers.hs1.restart()
    network.heal()
    await until(() => far.received.some(({ edu_type: type }) => type === 'm.signing_key_update'), 3_600_000)
    const updates = far.received.filter(({ edu_type: type }) => type === 'm.signing_key_update')
    assert.deepEqual(
      updates.map(({ content }) => content.master_key),
      [newIdentity(alice, 'third').masterKey],
    )
  })
})

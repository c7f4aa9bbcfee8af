import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachDatabase, type TestDatabase } from '../../test/support/databases.ts'
import { status } from '../../test/support/remote-answers.ts'
import { createSeededRandom } from '../../test/support/seeded-random.ts'
import type { ClientAnswer, TestClient } from '../../test/support/test-client.ts'
import { createTestIdentity, type TestIdentity } from '../../test/support/test-keys.ts'
import { testNetwork } from '../../test/support/test-network.ts'

const ask = (by: TestClient, device_keys: unknown, timeout?: number): Promise<ClientAnswer> =>
  by.request('POST', '/keys/query', { device_keys, ...(timeout === undefined ? {} : { timeout }) })
const query = async (by: TestClient, userId: string): Promise<ClientAnswer['body']> =>
  (await ask(by, { [userId]: [] })).body
const publicKey = (identity: TestIdentity) => Object.values(identity.masterKey.keys as Record<string, string>)[0]!

/** Uploads new cross-signing keys. */
async function crossSign(client: TestClient): Promise<TestIdentity> {
  const identity = createTestIdentity(createSeededRandom(`identity of ${client.userId}`), client.userId)
  const { masterKey: master_key, selfSigningKey: self_signing_key, userSigningKey: user_signing_key } = identity
  const keys = { master_key, self_signing_key, user_signing_key }
  assert.equal((await client.request('POST', '/keys/device_signing/upload', keys)).status, 200)
  return identity
}

/** Alice on `hs1` and bob on a scripted remote share a room; his list is known, and not fetched lately. */
async function friendOfFar(database: TestDatabase) {
  const net = await testNetwork(['hs1'], { database })
  const far = net.remote('far.example')
  const bob = far.addUser('bob')
  bob.addDevice('PHONE', { displayName: 'his phone' })
  bob.setCrossSigning()
  const alice = await net.servers.hs1.register('alice')
  await net.rooms.share([alice, bob])
  await net.settle()
  await net.advance(31_000)
  return { ...net, far, bob, alice }
}

forEachDatabase((database) => {
  test('a user sees all of their own keys; others, and other servers, see no user-signing key', async () => {
    const { servers, remote } = await testNetwork(['hs1'], { database })
    const [alice, bob] = [await servers.hs1.register('alice'), await servers.hs1.register('bob')]
    const identity = await crossSign(alice)
    const seenByOthers = {
      device_keys: { [alice.userId]: { [alice.deviceId]: { ...alice.device.deviceKeys, unsigned: {} } } },
      master_keys: { [alice.userId]: identity.masterKey },
      self_signing_keys: { [alice.userId]: identity.selfSigningKey },
    }
    assert.deepEqual(await query(bob, alice.userId), { ...seenByOthers, failures: {} })
    assert.deepEqual(await query(alice, alice.userId), {
      ...seenByOthers,
      user_signing_keys: { [alice.userId]: identity.userSigningKey },
      failures: {},
    })
    const body = { device_keys: { [alice.userId]: [], '@carol:third.example': [] } }
    const path = '/_matrix/federation/v1/user/keys/query'
    const federated = await remote('far.example').request('hs1', { method: 'POST', path, body })
    assert.deepEqual([federated.status, federated.body], [200, seenByOthers])
  })

  test("what a user signed of another's keys is shown to that user alone", async () => {
    const { servers, remote } = await testNetwork(['hs1'], { database })
    const { register } = servers.hs1
    const [alice, bob, carol] = [await register('alice'), await register('bob'), await register('carol')]
    const [hers, his] = [await crossSign(alice), await crossSign(bob)]
    const signed = hers.signUser(his.masterKey)
    const body = { [bob.userId]: { [publicKey(his)]: signed } }
    assert.deepEqual((await alice.request('POST', '/keys/signatures/upload', body)).body, { failures: {} })
    const masterSeenBy = async (client: TestClient) => (await query(client, bob.userId)).master_keys[bob.userId]
    assert.deepEqual(await masterSeenBy(alice), signed)
    assert.deepEqual(await masterSeenBy(bob), his.masterKey)
    assert.deepEqual(await masterSeenBy(carol), his.masterKey)
    const federated = await remote('far.example').request('hs1', {
      method: 'POST',
      path: '/_matrix/federation/v1/user/keys/query',
      body: { device_keys: { [bob.userId]: [] } },
    })
    assert.deepEqual(federated.body.master_keys[bob.userId], his.masterKey)
  })

  test("what a user signed of a remote user's keys is shown with them", async () => {
    const { alice, bob, far } = await friendOfFar(database)
    const hers = await crossSign(alice)
    const signed = hers.signUser(bob.identity!.masterKey)
    const body = { [bob.userId]: { [publicKey(bob.identity!)]: signed } }
    assert.deepEqual((await alice.request('POST', '/keys/signatures/upload', body)).body, { failures: {} })
    assert.deepEqual((await query(alice, bob.userId)).master_keys[bob.userId], signed)
    await far.sendEdus('hs1', [bob.setCrossSigning()])
    const { master_keys: renewed } = await query(alice, bob.userId)
    assert.deepEqual(renewed[bob.userId], bob.identity!.masterKey, 'a new key is not the one that was signed')
  })

  test('devices are chosen by their IDs; those without keys are not shown', async () => {
    const { servers, remote } = await testNetwork(['hs1'], { database })
    const alice = await servers.hs1.register('alice')
    await alice.login('TABLET')
    const { body: session } = await servers.hs1.ask({
      method: 'POST',
      path: '/_matrix/client/v3/register',
      body: { username: 'keyless', password: 'secret secret', auth: { type: 'm.login.dummy' } },
    })
    const bob = remote('far.example').addUser('bob')
    for (const name of ['PHONE', 'LAPTOP']) bob.addDevice(name)
    const { body } = await ask(alice, {
      [alice.userId]: ['TABLET', 'NONE'],
      [bob.userId]: ['LAPTOP'],
      [session.user_id]: [],
      '@nobody:hs1': [],
    })
    const seen = Object.entries(body.device_keys).map(([userId, devices]) => [userId, Object.keys(devices as object)])
    assert.deepEqual(seen.sort(), [
      [alice.userId, ['TABLET']],
      [bob.userId, ['LAPTOP']],
      [session.user_id, []],
    ])
    assert.deepEqual(body.failures, {})
  })

  test('all devices may be asked for as older clients do, and nothing else that is misshapen', async () => {
    const { servers } = await testNetwork(['hs1'], { database })
    const alice = await servers.hs1.register('alice')
    for (const all of [[], {}, null]) {
      const { body } = await ask(alice, { [alice.userId]: all })
      assert.deepEqual(Object.keys(body.device_keys[alice.userId]), [alice.deviceId])
    }
    const tooMany = Object.fromEntries(Array.from({ length: 5_001 }, (_, n) => [`@${n}:hs1`, []]))
    for (const wrong of [
      undefined,
      [],
      { alice: [] },
      { [alice.userId]: { [alice.deviceId]: true } },
      { [alice.userId]: [1] },
      { [alice.userId]: alice.deviceId },
      tooMany,
    ]) {
      const { status, body } = await ask(alice, wrong)
      assert.deepEqual([status, body.errcode], [400, 'M_BAD_JSON'])
    }
  })

  test('a server that fails is named, and its user shown as known last; others are not kept waiting', async () => {
    const { alice, bob, far, advance, settle } = await friendOfFar(database)
    const known = await query(alice, bob.userId)
    assert.deepEqual(known.device_keys[bob.userId], bob.keysOf([]))
    assert.deepEqual(known.failures, {})
    bob.addDevice('UNSEEN')
    far.answerAlways({ endpoint: 'devices' }, status(503))
    // The one before was lost, so the list is in doubt.
    await far.sendEdus('hs1', [bob.addDevice('TABLET')])
    let stale: ClientAnswer['body']
    void ask(alice, { [bob.userId]: [], [alice.userId]: [] }, 3_000).then(({ body }) => {
      stale = body
    })
    await settle()
    await advance(3_000)
    assert.deepEqual(stale.device_keys[bob.userId], known.device_keys[bob.userId])
    assert.deepEqual(stale.master_keys[bob.userId], bob.identity!.masterKey)
    assert.deepEqual(Object.keys(stale.device_keys[alice.userId]), [alice.deviceId])
    assert.deepEqual(Object.keys(stale.failures), ['far.example'])
  })

  test('a server that knows nobody of that name has not failed', async () => {
    const { servers, remote } = await testNetwork(['hs1'], { database })
    const alice = await servers.hs1.register('alice')
    remote('far.example')
    const { body } = await ask(alice, { '@nobody:far.example': [] })
    assert.deepEqual(body, { device_keys: {}, master_keys: {}, self_signing_keys: {}, failures: {} })
  })
})

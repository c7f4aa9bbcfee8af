import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { forEachDatabase, type TestDatabase } from '../../../test/support/databases.ts'
import { createSeededRandom } from '../../../test/support/seeded-random.ts'
import type { ClientAnswer, TestClient } from '../../../test/support/test-client.ts'
import { createTestIdentity, type TestIdentity } from '../../../test/support/test-keys.ts'
import { testNetwork } from '../../../test/support/test-network.ts'
import { signingKeyFromSeed, signJson } from '../../matrix/signing.ts'

const codes = ({ status, body }: ClientAnswer) => [status, body.errcode]
let seeds = 0
const newIdentity = (client: TestClient) => createTestIdentity(createSeededRandom(`identity ${seeds++}`), client.userId)
const keysOf = (identity: TestIdentity) => ({
  master_key: identity.masterKey,
  self_signing_key: identity.selfSigningKey,
  user_signing_key: identity.userSigningKey,
})
const upload = (client: TestClient, body: object) => client.request('POST', '/keys/device_signing/upload', body)
const authOf = (client: TestClient) => ({
  type: 'm.login.password',
  identifier: { type: 'm.id.user', user: client.userId },
  password: 'a password for tests',
})

async function query(by: TestClient, of: TestClient): Promise<ClientAnswer['body']> {
  return (await by.request('POST', '/keys/query', { device_keys: { [of.userId]: [] } })).body
}

async function people(database: TestDatabase) {
  const { servers, rooms } = await testNetwork(['hs1'], { database })
  const [alice, bob] = [await servers.hs1.register('alice'), await servers.hs1.register('bob')]
  await rooms.share([alice, bob])
  for (const client of [alice, bob]) await client.sync()
  return { alice, bob }
}

forEachDatabase((database) => {
  describe('cross-signing keys', () => {
    test('are uploaded freely at first, told to all, and the user-signing key shown to its owner alone', async () => {
      const { alice, bob } = await people(database)
      const identity = newIdentity(alice)
      assert.deepEqual((await upload(alice, keysOf(identity))).body, {})
      assert.deepEqual((await bob.sync()).device_lists.changed, [alice.userId])
      const [own, others] = [await query(alice, alice), await query(bob, alice)]
      assert.deepEqual(own.user_signing_keys[alice.userId], identity.userSigningKey)
      assert.deepEqual(others.master_keys[alice.userId], identity.masterKey)
      assert.deepEqual(others.self_signing_keys[alice.userId], identity.selfSigningKey)
      assert.equal(others.user_signing_keys?.[alice.userId], undefined)
    })

    test('are replaced only when the user confirms it; the same again needs no confirmation', async () => {
      const { alice, bob } = await people(database)
      const [first, second] = [newIdentity(alice), newIdentity(alice)]
      await upload(alice, keysOf(first))
      await bob.sync()
      assert.equal((await upload(alice, keysOf(first))).status, 200)
      assert.deepEqual((await bob.sync()).device_lists?.changed ?? [], [])
      const asked = await upload(alice, keysOf(second))
      assert.equal(asked.status, 401)
      assert.deepEqual((await query(bob, alice)).master_keys[alice.userId], first.masterKey)
      const auth = { ...authOf(alice), session: asked.body.session }
      assert.equal((await upload(alice, { ...keysOf(second), auth })).status, 200)
      assert.deepEqual((await query(bob, alice)).master_keys[alice.userId], second.masterKey)
      assert.deepEqual((await bob.sync()).device_lists.changed, [alice.userId])
    })

    test('two first uploads at the same time: one of them has to be confirmed', async () => {
      const { alice } = await people(database)
      const answers = await Promise.all(
        [newIdentity(alice), newIdentity(alice)].map((one) => upload(alice, keysOf(one))),
      )
      assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 401])
    })

    test('that are wrong are refused, all or none', async () => {
      const { alice, bob } = await people(database)
      const [good, other] = [newIdentity(alice), newIdentity(alice)]
      for (const [body, expected] of [
        [{ ...keysOf(good), self_signing_key: other.selfSigningKey }, [400, 'M_INVALID_SIGNATURE']],
        [{ self_signing_key: good.selfSigningKey }, [400, 'M_MISSING_PARAM']],
        [{ master_key: { ...good.masterKey, user_id: bob.userId } }, [400, 'M_INVALID_PARAM']],
        [{ master_key: { ...good.masterKey, usage: ['self_signing'] } }, [400, 'M_INVALID_PARAM']],
        [{ master_key: { ...good.masterKey, keys: {} } }, [400, 'M_INVALID_PARAM']],
        [{ master_key: 'x' }, [400, 'M_INVALID_PARAM']],
      ] as const) {
        assert.deepEqual(codes(await upload(alice, body)), expected)
      }
      assert.deepEqual((await query(alice, alice)).master_keys, {})
    })

    test('cannot share their name with a device', async () => {
      const { alice } = await people(database)
      const identity = newIdentity(alice)
      await upload(alice, keysOf(identity))
      const [name] = Object.keys(identity.masterKey.keys as object)
      await assert.rejects(alice.login(name!.slice('ed25519:'.length)), /M_INVALID_PARAM/)
    })
  })

  describe('signatures', () => {
    const sign = (client: TestClient, body: object) => client.request('POST', '/keys/signatures/upload', body)

    test('of an own device by the self-signing key are shown to all, and told', async () => {
      const { alice, bob } = await people(database)
      const identity = newIdentity(alice)
      await upload(alice, keysOf(identity))
      await bob.sync()
      const signed = identity.sign(alice.device.deviceKeys)
      assert.deepEqual((await sign(alice, { [alice.userId]: { [alice.deviceId]: signed } })).body, { failures: {} })
      const seen = (await query(bob, alice)).device_keys[alice.userId][alice.deviceId]
      assert.equal(Object.keys(seen.signatures[alice.userId]).length, 2)
      assert.deepEqual((await bob.sync()).device_lists.changed, [alice.userId])
    })

    test('of the own master key by a device are shown', async () => {
      const { alice } = await people(database)
      const identity = newIdentity(alice)
      await upload(alice, keysOf(identity))
      const [name, key] = Object.entries(identity.masterKey.keys as Record<string, string>)[0]!
      const signed = signJson(identity.masterKey, alice.userId, alice.device.signingKey)
      assert.deepEqual((await sign(alice, { [alice.userId]: { [key]: signed } })).body, { failures: {} })
      const seen = (await query(alice, alice)).master_keys[alice.userId]
      assert.ok(seen.signatures[alice.userId][alice.device.signingKey.keyId], name)
    })

    test("of another's master key by the user-signing key are shown to the signer alone", async () => {
      const { alice, bob } = await people(database)
      const random = createSeededRandom('alice signs')
      const identities = [createTestIdentity(random, alice.userId), newIdentity(bob)] as const
      // The same randomness again, for the private key that the support keeps to itself.
      const again = createSeededRandom('alice signs')
      const [, , userSigning] = [again.bytes(32), again.bytes(32), signingKeyFromSeed('ed25519:', again.bytes(32))]
      await upload(alice, keysOf(identities[0]))
      await upload(bob, keysOf(identities[1]))
      const key = { ...userSigning, keyId: `ed25519:${userSigning.publicKey}` }
      const signed = signJson(identities[1].masterKey, alice.userId, key)
      const [target] = Object.values(identities[1].masterKey.keys as Record<string, string>)
      assert.deepEqual((await sign(alice, { [bob.userId]: { [target!]: signed } })).body, { failures: {} })
      const [hers, his] = [await query(alice, bob), await query(bob, bob)]
      assert.ok(hers.master_keys[bob.userId].signatures[alice.userId][key.keyId])
      assert.equal(his.master_keys[bob.userId].signatures?.[alice.userId], undefined)
    })

    test('that are wrong are named one by one, and the others kept', async () => {
      const { alice, bob } = await people(database)
      const identity = newIdentity(alice)
      await upload(alice, keysOf(identity))
      const good = identity.sign(alice.device.deviceKeys)
      const wrong = newIdentity(alice).sign(alice.device.deviceKeys)
      const changed = identity.sign({ ...alice.device.deviceKeys, algorithms: ['other'] })
      const { body } = await sign(alice, {
        [alice.userId]: { [alice.deviceId]: good, NOWHERE: { ...good, device_id: 'NOWHERE' } },
        [bob.userId]: { nokey: good },
      })
      assert.deepEqual(Object.keys(body.failures).sort(), [alice.userId, bob.userId].sort())
      assert.equal(body.failures[alice.userId].NOWHERE.errcode, 'M_NOT_FOUND')
      assert.equal(body.failures[alice.userId][alice.deviceId], undefined)
      for (const bad of [wrong, changed]) {
        const answer = await sign(alice, { [alice.userId]: { [alice.deviceId]: bad } })
        assert.equal(answer.body.failures[alice.userId][alice.deviceId].errcode, 'M_INVALID_SIGNATURE')
      }
    })
  })
})

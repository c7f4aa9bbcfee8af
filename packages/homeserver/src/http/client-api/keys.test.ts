import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { forEachDatabase } from '../../../test/support/databases.ts'
import type { ClientAnswer, TestClient } from '../../../test/support/test-client.ts'
import { testNetwork } from '../../../test/support/test-network.ts'

const ALGORITHM = 'signed_curve25519'
const codes = ({ status, body }: ClientAnswer) => [status, body.errcode]

/** Claims one key of a device. @returns the names of the keys that came */
async function claim(by: TestClient, of: TestClient, algorithm = ALGORITHM): Promise<string[]> {
  const one_time_keys = { [of.userId]: { [of.deviceId]: algorithm } }
  const { body } = await by.request('POST', '/keys/claim', { one_time_keys })
  return Object.keys(body.one_time_keys[of.userId]?.[of.deviceId] ?? {})
}

const upload = (client: TestClient, body: object) => client.request('POST', '/keys/upload', body)

forEachDatabase((database) => {
  const oneServer = async () => (await testNetwork(['hs1'], { database })).servers.hs1

  describe('one-time keys', () => {
    test('are given out once and in the order of upload, then the fallback key, again and again', async () => {
      const { register } = await oneServer()
      const [alice, bob] = [await register('alice'), await register('bob')]
      const keys = [1, 2, 3].map(() => bob.device.oneTimeKey())
      const fallback = bob.device.oneTimeKey({ fallback: true })
      // The order of upload is not the order of their names.
      const [first, second, third] = [keys[2]!, keys[0]!, keys[1]!]
      await upload(bob, { one_time_keys: Object.fromEntries([first]) })
      await upload(bob, { one_time_keys: Object.fromEntries([second]) })
      const { body } = await upload(bob, {
        one_time_keys: Object.fromEntries([third]),
        fallback_keys: Object.fromEntries([fallback]),
      })
      assert.deepEqual(body.one_time_key_counts, { [ALGORITHM]: 3 })
      assert.deepEqual((await bob.sync()).device_unused_fallback_key_types, [ALGORITHM])
      for (const [name] of [first, second, third, fallback, fallback]) assert.deepEqual(await claim(alice, bob), [name])
      const synced = await bob.sync()
      assert.equal(synced.device_one_time_keys_count[ALGORITHM] ?? 0, 0)
      assert.deepEqual(synced.device_unused_fallback_key_types, [])
    })

    test('are each given out once when many claim at the same time', async () => {
      const { register } = await oneServer()
      const [alice, bob] = [await register('alice'), await register('bob')]
      await bob.uploadKeys(50)
      const claimed = await Promise.all(Array.from({ length: 70 }, () => claim(alice, bob)))
      const names = claimed.flat()
      assert.equal(names.length, 50)
      assert.equal(new Set(names).size, 50)
    })

    test('wake the sync of who is to upload more', async () => {
      const { servers, settle } = await testNetwork(['hs1'], { database })
      const [alice, bob] = [await servers.hs1.register('alice'), await servers.hs1.register('bob')]
      await bob.uploadKeys(2)
      await bob.sync()
      const waiting = bob.sync({ timeout: 60_000 })
      await settle()
      await claim(alice, bob)
      assert.equal((await waiting).device_one_time_keys_count[ALGORITHM], 1)
    })

    test('can be uploaded again, but not replaced', async () => {
      const { register } = await oneServer()
      const bob = await register('bob')
      const [name, key] = bob.device.oneTimeKey()
      const one_time_keys = { [name]: key }
      assert.equal((await upload(bob, { one_time_keys })).status, 200)
      const again = await upload(bob, { one_time_keys })
      assert.deepEqual(again.body.one_time_key_counts, { [ALGORITHM]: 1 })
      const other = await upload(bob, { one_time_keys: { [name]: bob.device.oneTimeKey()[1] } })
      assert.deepEqual(codes(other), [400, 'M_INVALID_PARAM'])
    })

    test('of another server are claimed there; one that does not answer is named', async () => {
      const { servers, network } = await testNetwork(['hs1', 'hs2'], { database })
      const [alice, bob] = [await servers.hs1.register('alice'), await servers.hs2.register('bob')]
      await bob.uploadKeys(2)
      const [one, other] = [await claim(alice, bob), await claim(alice, bob)]
      assert.deepEqual([one.length, other.length], [1, 1])
      assert.notDeepEqual(one, other)
      network.partition(['hs1'], ['hs2'])
      const one_time_keys = { [bob.userId]: { [bob.deviceId]: ALGORITHM } }
      const { status, body } = await alice.request('POST', '/keys/claim', { one_time_keys })
      assert.deepEqual([status, body.one_time_keys, Object.keys(body.failures)], [200, {}, ['hs2']])
    })
  })

  describe('device keys', () => {
    for (const [what, edit, expected] of [
      ['of another user', { user_id: '@eve:hs1' }, [400, 'M_INVALID_PARAM']],
      ['of another device', { device_id: 'OTHER' }, [400, 'M_INVALID_PARAM']],
      ['without algorithms', { algorithms: undefined }, [400, 'M_BAD_JSON']],
      ['without signatures', { signatures: undefined }, [400, 'M_BAD_JSON']],
      ['whose keys are no texts', { keys: { 'ed25519:X': 1 } }, [400, 'M_BAD_JSON']],
      ['that have no canonical form', { 'org.example': 0.5 }, [400, 'M_INVALID_PARAM']],
    ] as const) {
      test(`${what} are refused, and nothing else of the upload is kept`, async () => {
        const { register } = await oneServer()
        const alice = await register('alice')
        const device_keys = { ...alice.device.deviceKeys, ...edit }
        const one_time_keys = Object.fromEntries([alice.device.oneTimeKey()])
        assert.deepEqual(codes(await upload(alice, { device_keys, one_time_keys })), expected)
        assert.deepEqual((await upload(alice, {})).body.one_time_key_counts, {})
      })
    }

    test('show the name of their device, and are chosen by device ID', async () => {
      const { register } = await oneServer()
      const alice = await register('alice')
      await alice.login('TABLET')
      await alice.request('PUT', '/devices/TABLET', { display_name: 'a tablet' })
      const { body } = await alice.request('POST', '/keys/query', { device_keys: { [alice.userId]: ['TABLET'] } })
      const devices = body.device_keys[alice.userId]
      assert.deepEqual(Object.keys(devices), ['TABLET'])
      assert.deepEqual(devices.TABLET.unsigned, { device_display_name: 'a tablet' })
      const unknown = await alice.request('POST', '/keys/query', { device_keys: { '@none:hs1': [] } })
      assert.deepEqual([unknown.status, unknown.body.failures], [200, {}])
    })
  })

  if (database.name === 'postgres') {
    test('two processes never give out the same one-time key', async () => {
      const { servers, addProcess } = await testNetwork(['hs1'], { database })
      const second = await addProcess('hs1')
      const [alice, bob] = [await servers.hs1.register('alice'), await servers.hs1.register('bob')]
      await bob.uploadKeys(30)
      const body = { one_time_keys: { [bob.userId]: { [bob.deviceId]: ALGORITHM } } }
      const path = '/_matrix/client/v3/keys/claim'
      const answers = await Promise.all(
        Array.from({ length: 40 }, (_, n) =>
          (n % 2 ? servers.hs1 : second).ask({ method: 'POST', path, body, token: alice.accessToken }),
        ),
      )
      const names = answers.flatMap(({ body }) => Object.keys(body.one_time_keys[bob.userId]?.[bob.deviceId] ?? {}))
      assert.deepEqual([names.length, new Set(names).size], [30, 30])
    })
  }
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachDatabase, type TestDatabase } from '../../../test/support/databases.ts'
import * as answers from '../../../test/support/remote-answers.ts'
import type { ClientAnswer } from '../../../test/support/test-client.ts'
import { testNetwork } from '../../../test/support/test-network.ts'
import { verifyJson, verifyKeyFrom } from '../../matrix/signing.ts'

const QUERY = '/_matrix/key/v2/query'
type Keys = { server_name: string; verify_keys: Record<string, { key: string }>; valid_until_ts: number }

async function notary(database: TestDatabase) {
  const { servers, remote, network, advance, clock } = await testNetwork(['hs1'], { database })
  const { ask } = servers.hs1
  const far = remote('far.example')
  const own = (await ask({ method: 'GET', path: '/_matrix/key/v2/server' })).body as Keys
  const keysIn = ({ status, body }: ClientAnswer): Keys[] => {
    assert.equal(status, 200)
    for (const keys of body.server_keys as Keys[]) {
      for (const [name, verifyKeys] of [
        [keys.server_name, keys.verify_keys],
        ['hs1', own.verify_keys],
      ] as const) {
        for (const [keyId, { key }] of Object.entries(verifyKeys))
          assert.ok(verifyJson(keys, name, keyId, verifyKeyFrom(key)!), `${keyId} of ${name}`)
      }
    }
    return body.server_keys
  }
  const get = async (path: string) => keysIn(await ask({ method: 'GET', path: QUERY + path }))
  const post = async (server_keys: object) => keysIn(await ask({ method: 'POST', path: QUERY, body: { server_keys } }))
  const asked = () => network.requests({ to: 'far.example', path: '/_matrix/key/v2/server' }).length
  return { get, post, far, asked, advance, clock, network, ask }
}

forEachDatabase((database) => {
  test('gives what a server says of its keys, signed by it and by us, and asks it once', async () => {
    const { get, post, asked } = await notary(database)
    const [keys] = await get('/far.example')
    assert.equal(keys?.server_name, 'far.example')
    const [keyId] = Object.keys(keys!.verify_keys)
    assert.deepEqual(await get(`/far.example/${encodeURIComponent(keyId!)}`), [keys])
    assert.deepEqual(await post({ 'far.example': { [keyId!]: {} } }), [keys])
    assert.deepEqual(await post({ 'far.example': {} }), [keys])
    assert.deepEqual(await post({}), [])
    assert.equal(asked(), 1)
  })

  test('asks again for keys that are to be valid for longer, and gives the old ones if there are no others', async () => {
    const { get, advance, asked, network, clock } = await notary(database)
    const [keys] = await get('/far.example')
    await advance(31_000)
    const [newer] = await get(`/far.example?minimum_valid_until_ts=${keys!.valid_until_ts + 1}`)
    // Without a key ID there is nothing that has to be valid for longer.
    assert.equal(newer!.valid_until_ts, keys!.valid_until_ts)
    const [keyId] = Object.keys(keys!.verify_keys)
    const [longer] = await get(`/far.example/${keyId}?minimum_valid_until_ts=${keys!.valid_until_ts + 1}`)
    assert.ok(longer!.valid_until_ts > keys!.valid_until_ts)
    assert.equal(asked(), 2)
    network.unhost('far.example')
    await advance(48 * 3_600_000)
    const [expired] = await get('/far.example')
    assert.deepEqual(expired, longer)
    assert.ok(expired!.valid_until_ts < clock.now())
  })

  test('keeps what is good when the server answers with something else', async () => {
    const { get, far, advance } = await notary(database)
    const [keys] = await get('/far.example')
    await advance(48 * 3_600_000)
    far.answerAlways(
      { endpoint: 'serverKeys' },
      answers.edited((body) => ({ ...body, verify_keys: { 'ed25519:evil': { key: 'A'.repeat(43) } } })),
    )
    assert.deepEqual(await get('/far.example'), [keys])
  })

  test('knows nothing of a server that cannot be reached, and its own keys without asking', async () => {
    const { get, ask, network } = await notary(database)
    assert.deepEqual(await get('/nowhere.example'), [])
    assert.equal((await get('/hs1'))[0]?.server_name, 'hs1')
    assert.equal(network.requests({ to: 'hs1' }).length, 0)
    for (const body of [
      {},
      { server_keys: [] },
      { server_keys: { 'not a name': {} } },
      { server_keys: { a: { b: 1 } } },
    ]) {
      const { status, body: answer } = await ask({ method: 'POST', path: QUERY, body })
      assert.deepEqual([status, answer.errcode], [400, 'M_BAD_JSON'])
    }
  })
})

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { onSqlite } from '../../test/support/databases.ts'
import { errorResponse, jsonResponse } from '../../test/support/responses.ts'
import { createSeededRandom } from '../../test/support/seeded-random.ts'
import { authorizationOf, type SignedParts, sendTo } from '../../test/support/signed-requests.ts'
import { testNetwork } from '../../test/support/test-network.ts'
import type { ServerName } from '../matrix/ids.ts'
import { signingKeyFromSeed, signJson } from '../matrix/signing.ts'

const FAR = 'far.example' as ServerName
const DENIED = 'denied.example'
const QUERY = '/_matrix/federation/v1/user/keys/query'
const key = signingKeyFromSeed('ed25519:far', createSeededRandom('far').bytes(32))
const otherKey = signingKeyFromSeed('ed25519:far', createSeededRandom('other').bytes(32))

onSqlite((database) => {
  /** `hs1`, where alice is, and two servers with the same key, one of which it does not talk to. */
  async function world() {
    const net = await testNetwork(['hs1'], { database, settings: { federationDeny: [DENIED] } })
    const alice = await net.servers.hs1.register('alice')
    const published = (server_name: string) => {
      const keys = {
        server_name,
        valid_until_ts: net.clock.now() + 3_600_000,
        verify_keys: { [key.keyId]: { key: key.publicKey } },
      }
      return jsonResponse(200, signJson(keys, server_name, key))
    }
    for (const name of [FAR, DENIED]) net.network.host(name, async () => published(name))

    /** Sends what is asked with this header, which is that of `FAR` for the same if it is left out. */
    async function send(parts: SignedParts, authorization = authorizationOf(FAR, key, 'hs1', parts)) {
      const response = await sendTo(net.network.of(FAR), 'hs1', parts, authorization ? { authorization } : {})
      const { errcode } = JSON.parse(response.body.toString())
      return { status: response.status, errcode }
    }
    const list: SignedParts = {
      method: 'GET',
      path: `/_matrix/federation/v1/user/devices/${encodeURIComponent(alice.userId)}`,
    }
    const query: SignedParts = { method: 'POST', path: QUERY, body: { device_keys: { [alice.userId]: [] } } }
    return { ...net, send, list, query }
  }

  const OK = { status: 200, errcode: undefined }
  const UNAUTHORIZED = { status: 401, errcode: 'M_UNAUTHORIZED' }

  test('a request that is signed is answered, with and without a body', async () => {
    const { send, list, query } = await world()
    assert.deepEqual(await send(list), OK)
    assert.deepEqual(await send(query), OK)
    assert.deepEqual(await send({ ...list, path: `${list.path}?a=%20b` }), OK)
  })

  test('numbers and names of members that canonical JSON knows nothing of do not matter', async () => {
    const { send, query } = await world()
    const body = JSON.parse(
      JSON.stringify(query.body).replace('{', '{"x":[0,1e3,-0],"__proto__":{"\\u0000é":"\\ud83d\\ude00"},'),
    )
    assert.deepEqual(await send({ ...query, body }), OK)
  })

  test('servers of old do not name the destination in the header, but sign it', async () => {
    const { send, list } = await world()
    const header = authorizationOf(FAR, key, 'hs1', list).replace(',destination="hs1"', '')
    assert.deepEqual(await send(list, header), OK)
  })

  describe('refused with 401', () => {
    const header = (origin: string, destination: string) => (parts: SignedParts) =>
      authorizationOf(origin, key, destination, parts)
    const wrong: [name: string, authorization: (parts: SignedParts) => string][] = [
      ['no header', () => ''],
      ['an access token', () => 'Bearer abc'],
      ['a garbled header', () => 'X-Matrix origin="far.example",key='],
      ['a request for another server', header(FAR, 'hs2')],
      [
        'a request for another server that names this one',
        (parts) => header(FAR, 'hs2')(parts).replace('"hs2"', '"hs1"'),
      ],
      ['a request of this server itself', header('hs1', 'hs1')],
      ['a request of another server', (parts) => header('other.example', 'hs1')(parts).replace('other.example', FAR)],
      ['a server whose keys cannot be had', header('nowhere.example', 'hs1')],
      [
        'a key that the server does not have',
        (parts) => authorizationOf(FAR, { ...key, keyId: 'ed25519:no' }, 'hs1', parts),
      ],
      ['the signature of another key', (parts) => authorizationOf(FAR, otherKey, 'hs1', parts)],
      ['a signature that is no base64', (parts) => header(FAR, 'hs1')(parts).replace(/sig=".*"/, 'sig="%%%"')],
      ['another method', (parts) => header(FAR, 'hs1')({ ...parts, method: 'PUT' })],
      ['another path', (parts) => header(FAR, 'hs1')({ ...parts, path: QUERY.replace('query', 'claim') })],
      ['another query', (parts) => header(FAR, 'hs1')({ ...parts, path: `${parts.path}?a` })],
      ['another body', (parts) => header(FAR, 'hs1')({ ...parts, body: { device_keys: { '@bob:hs1': [] } } })],
      ['a body that was not signed', (parts) => header(FAR, 'hs1')({ method: parts.method, path: parts.path })],
    ]
    for (const [name, authorization] of wrong) {
      test(name, async () => {
        const { send, query } = await world()
        assert.deepEqual(await send(query, authorization(query)), UNAUTHORIZED)
      })
    }
  })

  test('an origin that is no server name is no question of signatures', async () => {
    const { send, list } = await world()
    const refused = { status: 400, errcode: 'M_INVALID_PARAM' }
    assert.deepEqual(await send(list, authorizationOf('far.example:http', key, 'hs1', list)), refused)
  })

  test('a server that the settings deny is forbidden, signed or not', async () => {
    const { send, list, network } = await world()
    const forbidden = { status: 403, errcode: 'M_FORBIDDEN' }
    assert.deepEqual(await send(list, authorizationOf(DENIED, key, 'hs1', list)), forbidden)
    assert.deepEqual(await send(list, authorizationOf(DENIED, otherKey, 'hs1', list)), forbidden)
    assert.deepEqual(network.requests({ from: 'hs1' }), [])
  })

  test('a signature is looked at before whether the request makes sense', async () => {
    const { send } = await world()
    const senseless = { method: 'POST', path: QUERY, body: [] }
    assert.deepEqual(await send(senseless, ''), UNAUTHORIZED)
    assert.deepEqual(await send(senseless), { status: 400, errcode: 'M_BAD_JSON' })
    assert.deepEqual(await send({ method: 'GET', path: '/_matrix/federation/v1/nothing' }, ''), {
      status: 404,
      errcode: 'M_UNRECOGNIZED',
    })
  })

  test('whoever signs ends the back-off of the origin; whoever only says so does not', async () => {
    const { send, list, servers, network } = await world()
    const { destinations } = servers.hs1.homeserver.ctx.federation
    const failures = async () => (await destinations.backoffOf(FAR)).failures
    await destinations.recordFailure(FAR, 'refused')
    assert.equal((await send(list, authorizationOf(FAR, otherKey, 'hs1', list))).status, 401)
    assert.equal(await failures(), 1)
    assert.deepEqual(await send(list), OK)
    assert.equal(await failures(), 0)
    // The keys are known: that the server cannot be asked for them now does not matter.
    network.host(FAR, async () => errorResponse(503, 'M_UNKNOWN'))
    assert.deepEqual(await send(list), OK)
  })
})

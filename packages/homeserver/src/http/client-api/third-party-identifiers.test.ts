import assert from 'node:assert/strict'
import { test } from 'node:test'
import { onSqlite } from '../../../test/support/databases.ts'
import { testNetwork } from '../../../test/support/test-network.ts'

const EMAIL = { client_secret: 's', email: 'alice@example.org', send_attempt: 1 }

onSqlite((database) => {
  test('nobody has a third-party identifier, and clients are told so', async () => {
    const { servers } = await testNetwork(['hs1'], { database })
    const alice = await servers.hs1.register('alice')
    const outcome = async (path: string, body: object) => {
      const answer = await alice.request('POST', path, body)
      return [answer.status, answer.body.errcode]
    }
    assert.deepEqual((await alice.request('GET', '/account/3pid')).body, { threepids: [] })
    assert.deepEqual(await outcome('/account/3pid/add', { client_secret: 's', sid: '1' }), [403, 'M_FORBIDDEN'])
    const address = { medium: 'email', address: 'alice@example.org' }
    assert.deepEqual(await outcome('/account/3pid/delete', address), [404, 'M_THREEPID_NOT_FOUND'])
    assert.deepEqual(await outcome('/register/email/requestToken', EMAIL), [403, 'M_THREEPID_DENIED'])
    assert.deepEqual(await outcome('/account/password/email/requestToken', EMAIL), [400, 'M_THREEPID_NOT_FOUND'])
    assert.deepEqual(await outcome('/account/password/email/requestToken', { email: 1 }), [400, 'M_BAD_JSON'])
  })

  test('there are no bridges and no TURN servers, which is an answer', async () => {
    const { servers } = await testNetwork(['hs1'], { database })
    const alice = await servers.hs1.register('alice')
    for (const path of ['/thirdparty/protocols', '/voip/turnServer']) {
      assert.deepEqual((await alice.request('GET', path)).body, {})
    }
    const { status, body } = await alice.request('GET', '/thirdparty/user/irc')
    assert.deepEqual([status, body.errcode], [404, 'M_NOT_FOUND'])
  })

  test('an admin is told where a user was seen, and with what', async () => {
    const { servers } = await testNetwork(['hs1'], { database })
    const alice = await servers.hs1.register('alice')
    const headers = { authorization: `Bearer ${alice.accessToken}`, 'user-agent': 'a client/1' }
    const url = `/_matrix/client/v3/admin/whois/${alice.userId}`
    await servers.hs1.homeserver.app.inject({ method: 'GET', url, headers, remoteAddress: '192.0.2.7' })
    const { devices } = (
      await servers.hs1.homeserver.app.inject({ method: 'GET', url, headers, remoteAddress: '192.0.2.7' })
    ).json()
    const [connection] = devices[alice.deviceId].sessions[0].connections
    assert.deepEqual([connection.ip, connection.user_agent], ['192.0.2.7', 'a client/1'])
  })
})

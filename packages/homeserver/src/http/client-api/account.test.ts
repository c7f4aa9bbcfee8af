import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { describe, test } from 'node:test'
import { forEachDatabase, type TestDatabase } from '../../../test/support/databases.ts'
import type { ClientAnswer, TestClient } from '../../../test/support/test-client.ts'
import { testNetwork } from '../../../test/support/test-network.ts'
import type { PartialSettings } from '../../config/defaults.ts'

const V3 = '/_matrix/client/v3'
const PASSWORD = 'a password for tests'

async function server(database: TestDatabase, settings: PartialSettings = {}) {
  const { servers, advance } = await testNetwork(['hs1'], { database, settings })
  const { ask, register } = servers.hs1
  const logIn = (fields: object) => ask({ method: 'POST', path: `${V3}/login`, body: fields })
  const withPassword = (user: string, password: string, more: object = {}) =>
    logIn({ type: 'm.login.password', identifier: { type: 'm.id.user', user }, password, ...more })
  return { ask, register, advance, logIn, withPassword, hs1: servers.hs1 }
}

const codes = ({ status, body }: ClientAnswer) => [status, body.errcode]
const authOf = (client: TestClient, password = PASSWORD) => ({
  type: 'm.login.password',
  identifier: { type: 'm.id.user', user: client.userId },
  password,
})

forEachDatabase((database) => {
  describe('a password', () => {
    test('is changed after the old one was given, and other devices are logged out', async () => {
      const { register, withPassword } = await server(database)
      const alice = await register('alice')
      const tablet = await alice.login('TABLET')
      const asked = await alice.request('POST', '/account/password', { new_password: 'new' })
      assert.equal(asked.status, 401)
      assert.deepEqual(asked.body.flows, [{ stages: ['m.login.password'] }])
      const wrong = await alice.request('POST', '/account/password', {
        new_password: 'new',
        auth: { ...authOf(alice, 'wrong'), session: asked.body.session },
      })
      assert.deepEqual(codes(wrong), [401, 'M_FORBIDDEN'])
      const done = await alice.request('POST', '/account/password', {
        new_password: 'new',
        auth: { ...authOf(alice), session: asked.body.session },
      })
      assert.deepEqual([done.status, done.body], [200, {}])
      assert.deepEqual(codes(await withPassword('alice', PASSWORD)), [403, 'M_FORBIDDEN'])
      assert.equal((await withPassword('alice', 'new')).status, 200)
      assert.equal((await alice.request('GET', '/account/whoami')).status, 200)
      assert.deepEqual(codes(await tablet.request('GET', '/account/whoami')), [401, 'M_UNKNOWN_TOKEN'])
    })

    test('is changed without logging anybody out, if so wished', async () => {
      const { register } = await server(database)
      const alice = await register('alice')
      const tablet = await alice.login('TABLET')
      const body = { new_password: 'new', logout_devices: false, auth: authOf(alice) }
      assert.equal((await alice.request('POST', '/account/password', body)).status, 200)
      assert.equal((await tablet.request('GET', '/account/whoami')).status, 200)
    })
  })

  describe('an account that is deactivated', () => {
    test('is logged out everywhere, cannot log in, and keeps its name', async () => {
      const { register, withPassword, ask } = await server(database)
      const alice = await register('alice')
      const tablet = await alice.login('TABLET')
      await alice.request('PUT', `/user/${alice.userId}/account_data/org.example`, { a: 1 })
      await alice.request('PUT', `/profile/${alice.userId}/displayname`, { displayname: 'Alice' })
      assert.equal((await alice.request('POST', '/account/deactivate', {})).status, 401)
      const done = await alice.request('POST', '/account/deactivate', { auth: authOf(alice), erase: true })
      assert.deepEqual([done.status, done.body], [200, { id_server_unbind_result: 'success' }])
      for (const client of [alice, tablet]) {
        assert.deepEqual(codes(await client.request('GET', '/account/whoami')), [401, 'M_UNKNOWN_TOKEN'])
      }
      assert.equal((await withPassword('alice', PASSWORD)).status, 403)
      const auth = { type: 'm.login.dummy' }
      const again = await ask({
        method: 'POST',
        path: `${V3}/register`,
        body: { username: 'alice', password: 'x', auth },
      })
      assert.deepEqual(codes(again), [400, 'M_USER_IN_USE'])
      const profile = await ask({ method: 'GET', path: `${V3}/profile/${alice.userId}` })
      assert.deepEqual(profile.body, {})
    })
  })

  describe('a login token', () => {
    test('logs another client in, once, within two minutes', async () => {
      const { register, logIn, advance, ask } = await server(database)
      const alice = await register('alice')
      const path = '/_matrix/client/v1/login/get_token'
      assert.equal((await alice.request('POST', path, {})).status, 401)
      const newToken = async () => (await alice.request('POST', path, { auth: authOf(alice) })).body
      const { login_token: token, expires_in_ms: lifetime } = await newToken()
      assert.equal(lifetime, 120_000)
      const session = await logIn({ type: 'm.login.token', token })
      assert.deepEqual([session.status, session.body.user_id], [200, alice.userId])
      assert.notEqual(session.body.device_id, alice.deviceId)
      assert.deepEqual(codes(await logIn({ type: 'm.login.token', token })), [403, 'M_FORBIDDEN'])
      const { login_token: late } = await newToken()
      await advance(120_000)
      assert.deepEqual(codes(await logIn({ type: 'm.login.token', token: late })), [403, 'M_FORBIDDEN'])
      assert.deepEqual(codes(await logIn({ type: 'm.login.token' })), [400, 'M_MISSING_PARAM'])
      const { body } = await ask({ method: 'GET', path: `${V3}/login` })
      assert.deepEqual(body.flows[1], { type: 'm.login.token', get_login_token: true })
    })
  })

  describe('a refresh token', () => {
    test('renews an access token that expires; the old one is good until the new one is used', async () => {
      const { register, withPassword, ask, advance } = await server(database)
      await register('alice')
      const first = (await withPassword('alice', PASSWORD, { refresh_token: true, device_id: 'TABLET' })).body
      assert.equal(first.expires_in_ms, 300_000)
      const whoami = async (token: string) => {
        const { status, body } = await ask({ method: 'GET', path: `${V3}/account/whoami`, token })
        return status === 200 ? body.device_id : [body.errcode, body.soft_logout]
      }
      const renew = async (token: string) =>
        ask({ method: 'POST', path: `${V3}/refresh`, body: { refresh_token: token } })
      const lost = (await renew(first.refresh_token)).body
      const second = (await renew(first.refresh_token)).body
      assert.equal(await whoami(first.access_token), 'TABLET')
      assert.equal(await whoami(second.access_token), 'TABLET')
      assert.deepEqual(await whoami(first.access_token), ['M_UNKNOWN_TOKEN', undefined])
      assert.deepEqual(await whoami(lost.access_token), ['M_UNKNOWN_TOKEN', undefined])
      for (const token of [first.refresh_token, lost.refresh_token, 'nonsense']) {
        assert.deepEqual(codes(await renew(token)), [401, 'M_UNKNOWN_TOKEN'])
      }
      await advance(300_000)
      assert.deepEqual(await whoami(second.access_token), ['M_UNKNOWN_TOKEN', true])
      const third = (await renew(second.refresh_token)).body
      assert.equal(await whoami(third.access_token), 'TABLET')
    })

    test('goes with its device', async () => {
      const { register, withPassword, ask } = await server(database)
      const alice = await register('alice')
      const { body } = await withPassword('alice', PASSWORD, { refresh_token: true })
      await alice.request('POST', '/logout/all')
      const renewed = await ask({ method: 'POST', path: `${V3}/refresh`, body: { refresh_token: body.refresh_token } })
      assert.deepEqual(codes(renewed), [401, 'M_UNKNOWN_TOKEN'])
    })
  })

  describe('a guest', () => {
    test('is let in only where the settings say so, and may do little', async () => {
      const closed = await server(database)
      const path = `${V3}/register?kind=guest`
      assert.deepEqual(codes(await closed.ask({ method: 'POST', path, body: {} })), [403, 'M_GUEST_ACCESS_FORBIDDEN'])
      const { ask } = await server(database, { allowGuests: true })
      const { body: guest } = await ask({ method: 'POST', path, body: {} })
      const token = guest.access_token
      const { body } = await ask({ method: 'GET', path: `${V3}/account/whoami`, token })
      assert.deepEqual([body.user_id, body.is_guest], [guest.user_id, true])
      const refresh = '/_matrix/client/unstable/org.matrix.msc2638/user/@bob:far.example/devices/refresh'
      assert.deepEqual(codes(await ask({ method: 'POST', path: refresh, token })), [403, 'M_GUEST_ACCESS_FORBIDDEN'])
    })
  })

  describe('an OpenID token', () => {
    test('tells whose it is, for an hour', async () => {
      const { register, ask, advance } = await server(database)
      const alice = await register('alice')
      const { body } = await alice.request('POST', `/user/${alice.userId}/openid/request_token`, {})
      assert.deepEqual([body.token_type, body.matrix_server_name, body.expires_in], ['Bearer', 'hs1', 3600])
      const userinfo = (token: string) =>
        ask({ method: 'GET', path: `/_matrix/federation/v1/openid/userinfo?access_token=${token}` })
      assert.deepEqual((await userinfo(body.access_token)).body, { sub: alice.userId })
      assert.deepEqual(codes(await userinfo(alice.accessToken)), [401, 'M_UNKNOWN_TOKEN'])
      await advance(3_600_000)
      assert.deepEqual(codes(await userinfo(body.access_token)), [401, 'M_UNKNOWN_TOKEN'])
      const others = await alice.request('POST', '/user/@bob:hs1/openid/request_token', {})
      assert.deepEqual(codes(others), [403, 'M_FORBIDDEN'])
    })
  })

  describe('registration by shared secret', () => {
    const path = '/_synapse/admin/v1/register'
    const registrationSharedSecret = 'the secret'
    const macOf = (...parts: string[]) =>
      createHmac('sha1', registrationSharedSecret).update(parts.join('\0')).digest('hex')

    test('makes an account, an admin if so wished, for who knows the secret', async () => {
      const { ask, withPassword } = await server(database, { registration: 'closed', registrationSharedSecret })
      const nonceOf = async () => (await ask({ method: 'GET', path })).body.nonce
      const nonce = await nonceOf()
      const wish = { nonce, username: 'alice', password: 'pw', admin: true, displayname: 'Alice' }
      const made = await ask({ method: 'POST', path, body: { ...wish, mac: macOf(nonce, 'alice', 'pw', 'admin') } })
      assert.deepEqual([made.status, made.body.user_id, made.body.home_server], [200, '@alice:hs1', 'hs1'])
      const { body } = await ask({ method: 'GET', path: `${V3}/account/whoami`, token: made.body.access_token })
      assert.equal(body.device_id, made.body.device_id)
      assert.equal((await withPassword('alice', 'pw')).status, 200)
      assert.deepEqual((await ask({ method: 'GET', path: `${V3}/profile/@alice:hs1` })).body, { displayname: 'Alice' })
    })

    test('takes a nonce once and for a minute, and no wrong MAC', async () => {
      const { ask, advance } = await server(database, { registrationSharedSecret })
      const nonceOf = async () => (await ask({ method: 'GET', path })).body.nonce
      const post = async (nonce: string, username: string, mac: string) =>
        codes(await ask({ method: 'POST', path, body: { nonce, username, password: 'pw', mac } }))
      const nonce = await nonceOf()
      assert.deepEqual(await post(nonce, 'alice', macOf(nonce, 'alice', 'pw', 'admin')), [403, 'M_FORBIDDEN'])
      assert.deepEqual(await post(nonce, 'alice', macOf(nonce, 'alice', 'pw', 'notadmin')), [400, 'M_UNKNOWN'])
      const late = await nonceOf()
      await advance(60_000)
      assert.deepEqual(await post(late, 'alice', macOf(late, 'alice', 'pw', 'notadmin')), [400, 'M_UNKNOWN'])
      const good = await nonceOf()
      assert.deepEqual(await post(good, 'alice', macOf(good, 'alice', 'pw', 'notadmin')), [200, undefined])
    })

    test('is not there without a secret', async () => {
      const { ask } = await server(database)
      assert.deepEqual(codes(await ask({ method: 'GET', path })), [400, 'M_UNKNOWN'])
    })
  })
})

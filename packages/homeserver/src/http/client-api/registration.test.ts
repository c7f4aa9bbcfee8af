import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accountsOn } from '../../../test/support/accounts.ts'
import { sqliteBackend } from '../../storage/dialect.ts'
import { openStore } from '../../storage/store.ts'

const REGISTER = '/_matrix/client/v3/register'
const openAccounts = async (options = {}) => accountsOn(await openStore(sqliteBackend(':memory:')), options)
const auth = { type: 'm.login.dummy' }

test('registering shows the flows first, then logs in', async () => {
  const { ask } = await openAccounts()
  const first = await ask('POST', REGISTER, {})
  assert.equal(first.status, 401)
  assert.deepEqual(Object.keys(first.body).sort(), ['completed', 'flows', 'params', 'session'])
  assert.deepEqual(first.body.flows, [{ stages: ['m.login.dummy'] }])

  const session = { ...auth, session: first.body.session }
  const wish = { username: 'Alice', password: 'secret', device_id: 'PHONE' }
  const { status, body } = await ask('POST', REGISTER, { ...wish, auth: session })
  assert.equal(status, 200)
  assert.deepEqual([body.user_id, body.device_id], ['@alice:example.org', 'PHONE'])
  const who = await ask('GET', '/_matrix/client/v3/account/whoami', undefined, body.access_token as string)
  assert.deepEqual(who.body, { user_id: '@alice:example.org', device_id: 'PHONE', is_guest: false })
})

test('a name is made up for those who want none', async () => {
  const { ask } = await openAccounts()
  const ids = await Promise.all([1, 2].map(() => ask('POST', REGISTER, { password: 'x', auth })))
  for (const { body } of ids) assert.match(body.user_id as string, /^@[0-9a-f]{16}:example\.org$/)
  assert.notEqual(ids[0]?.body.user_id, ids[1]?.body.user_id)
})

test('inhibit_login makes an account without a device', async () => {
  const { ask } = await openAccounts()
  const { body } = await ask('POST', REGISTER, { username: 'alice', password: 'x', inhibit_login: true, auth })
  assert.deepEqual(body, { user_id: '@alice:example.org', home_server: 'example.org' })
})

test('names are checked before anybody has to authenticate', async () => {
  const { ask, user } = await openAccounts()
  await user('alice')
  const errcodeOf = async (username: string) => (await ask('POST', REGISTER, { username, password: 'x' })).body.errcode
  assert.equal(await errcodeOf('ALICE'), 'M_USER_IN_USE')
  for (const letter of '!":?\\@[]{|}£é\n\'')
    assert.equal(await errcodeOf(`user${letter}`), 'M_INVALID_USERNAME', letter)
  for (const letter of 'q3._=-/') assert.equal(await errcodeOf(`user${letter}`), undefined, letter)
  assert.equal(await errcodeOf('a'.repeat(250)), 'M_INVALID_USERNAME')
})

test('a password is needed, and bounded', async () => {
  const { ask } = await openAccounts()
  const register = async (password?: string) => ask('POST', REGISTER, { username: 'alice', password, auth })
  assert.deepEqual([(await register()).status, (await register()).body.errcode], [400, 'M_MISSING_PARAM'])
  for (const password of ['', 'x'.repeat(513)]) assert.equal((await register(password)).body.errcode, 'M_INVALID_PARAM')
  assert.equal((await register('übers3kr1t')).status, 200)
})

test('who may register is a setting', async () => {
  const closed = await openAccounts({ registration: 'closed' })
  for (const [method, url] of [
    ['POST', REGISTER],
    ['GET', `${REGISTER}/available?username=alice`],
    ['GET', '/_matrix/client/v1/register/m.login.registration_token/validity?token=x'],
  ] as const) {
    const { status, body } = await closed.ask(method, url, method === 'POST' ? { password: 'x', auth } : undefined)
    assert.deepEqual([status, body.errcode], [403, 'M_FORBIDDEN'], url)
  }
  const { ask } = await openAccounts()
  const guest = await ask('POST', `${REGISTER}?kind=guest`, {})
  assert.deepEqual([guest.status, guest.body.errcode], [403, 'M_GUEST_ACCESS_FORBIDDEN'])
  assert.equal((await ask('POST', `${REGISTER}?kind=robot`, {})).body.errcode, 'M_INVALID_PARAM')
})

test('a registration token is the whole way in where one is needed', async () => {
  const { ask } = await openAccounts({ registration: 'token', registrationToken: 'open sesame' })
  const first = await ask('POST', REGISTER, {})
  assert.deepEqual(first.body.flows, [{ stages: ['m.login.registration_token'] }])
  const { session } = first.body
  const register = (token: unknown) =>
    ask('POST', REGISTER, { password: 'x', auth: { type: 'm.login.registration_token', token, session } })
  const wrong = await register('guess')
  assert.deepEqual([wrong.status, wrong.body.errcode, wrong.body.completed], [401, 'M_UNAUTHORIZED', []])
  assert.equal(wrong.body.session, session)
  assert.equal((await register(undefined)).body.errcode, 'M_MISSING_PARAM')
  assert.equal((await register({})).body.errcode, 'M_BAD_JSON')
  assert.equal((await ask('POST', REGISTER, { password: 'x', auth })).body.errcode, 'M_INVALID_PARAM')
  assert.equal((await register('open sesame')).status, 200)
})

test('guessing at registration tokens ends', async () => {
  const { ask, clock } = await openAccounts({ registration: 'token', registrationToken: 'right' })
  const validity = (token: string) =>
    ask('GET', `/_matrix/client/v1/register/m.login.registration_token/validity?token=${token}`)
  assert.deepEqual((await validity('right')).body, { valid: true })
  for (let i = 0; i < 100; i++) assert.deepEqual((await validity('wrong%00')).body, { valid: false })
  const limited = await validity('right')
  assert.deepEqual([limited.status, limited.body.errcode], [429, 'M_LIMIT_EXCEEDED'])
  assert.equal(limited.headers['retry-after'], '300')
  await clock.advance(300_000)
  assert.deepEqual((await validity('right')).body, { valid: true })
})

test('whether a name is free can be asked', async () => {
  const { ask, user } = await openAccounts()
  await user('alice')
  const available = (query: string) => ask('GET', `${REGISTER}/available${query}`)
  assert.deepEqual((await available('?username=bob')).body, { available: true })
  assert.deepEqual((await available('?username=Alice')).body.errcode, 'M_USER_IN_USE')
  assert.deepEqual((await available('?username=b%20b')).body.errcode, 'M_INVALID_USERNAME')
  assert.deepEqual((await available('')).body.errcode, 'M_MISSING_PARAM')
})

test('wrong shapes are refused', async () => {
  const { ask } = await openAccounts()
  const errors: [unknown, string][] = [
    [undefined, 'M_BAD_JSON'],
    ['{', 'M_NOT_JSON'],
    [[], 'M_BAD_JSON'],
    [{ username: 5 }, 'M_BAD_JSON'],
    [{ inhibit_login: 'yes' }, 'M_BAD_JSON'],
    [{ device_id: 'a\0' }, 'M_BAD_JSON'],
    [{ auth: 'x' }, 'M_BAD_JSON'],
    [{ auth: { type: {} } }, 'M_BAD_JSON'],
  ]
  for (const [body, errcode] of errors) {
    const answer = await ask('POST', REGISTER, body)
    assert.deepEqual([answer.status, answer.body.errcode], [400, errcode], JSON.stringify(body))
  }
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accountsOn } from '../../../test/support/accounts.ts'
import { sqliteBackend } from '../../storage/dialect.ts'
import { openStore } from '../../storage/store.ts'

const LOGIN = '/_matrix/client/v3/login'
const WHOAMI = '/_matrix/client/v3/account/whoami'
const openAccounts = async (options = {}) => accountsOn(await openStore(sqliteBackend(':memory:')), options)

function password(user: string, secret = 'secret') {
  return { type: 'm.login.password', identifier: { type: 'm.id.user', user }, password: secret }
}

test('login by password or token is what is offered', async () => {
  const { ask } = await openAccounts()
  for (const path of [LOGIN, '/_matrix/client/r0/login']) {
    assert.deepEqual((await ask('GET', path)).body, {
      flows: [{ type: 'm.login.password' }, { type: 'm.login.token', get_login_token: true }],
    })
  }
})

test('a login gives a token for a device', async () => {
  const { ask, user } = await openAccounts({ publicBaseUrl: 'https://matrix.example.org' })
  const { userId } = await user('alice')
  const bodies = [
    password(userId),
    password('alice'),
    password('Alice'),
    { type: 'm.login.password', user: 'alice', password: 'secret' },
  ]
  for (const body of bodies) {
    const answer = await ask('POST', LOGIN, { ...body, device_id: 'LAPTOP', initial_device_display_name: 'mine' })
    assert.equal(answer.status, 200)
    assert.deepEqual(
      [answer.body.user_id, answer.body.device_id, answer.body.well_known],
      [userId, 'LAPTOP', { 'm.homeserver': { base_url: 'https://matrix.example.org' } }],
    )
    const who = await ask('GET', WHOAMI, undefined, answer.body.access_token as string)
    assert.deepEqual(who.body, { user_id: userId, device_id: 'LAPTOP', is_guest: false })
  }
})

test('an empty device ID is none, and clients are led nowhere unless the operator says so', async () => {
  const { ask, user } = await openAccounts()
  await user('alice')
  const { body } = await ask('POST', LOGIN, { ...password('alice'), device_id: '' })
  assert.match(body.device_id as string, /^DEVICE/)
  assert.equal(body.well_known, undefined)
})

test('a wrong password and an unknown user get the same answer', async () => {
  const { ask, user } = await openAccounts()
  await user('alice')
  const wrong = await ask('POST', LOGIN, password('alice', 'guess'))
  assert.deepEqual([wrong.status, wrong.body.errcode], [403, 'M_FORBIDDEN'])
  for (const name of ['bob', '@alice:elsewhere.org', '', 'b ob']) {
    const unknown = await ask('POST', LOGIN, password(name))
    assert.deepEqual([unknown.status, unknown.body], [403, wrong.body], name)
  }
  const identifier = { type: 'm.id.thirdparty', medium: 'email', address: 'alice@example.org' }
  assert.deepEqual((await ask('POST', LOGIN, { ...password('alice'), identifier })).body, wrong.body)
})

test('only who knows the password learns that an account is deactivated', async () => {
  const { ask, user, store } = await openAccounts()
  const { userId } = await user('alice')
  await store.db.updateTable('users').set({ deactivated_at: 1 }).where('user_id', '=', userId).execute()
  const right = await ask('POST', LOGIN, password('alice'))
  assert.deepEqual([right.status, right.body.errcode], [403, 'M_USER_DEACTIVATED'])
  assert.equal((await ask('POST', LOGIN, password('alice', 'guess'))).body.errcode, 'M_FORBIDDEN')
})

test('an account without a password cannot be logged in to', async () => {
  const { ask, user, store } = await openAccounts()
  await user('alice')
  await store.db.updateTable('users').set({ password_hash: null }).execute()
  for (const secret of ['', 'secret']) {
    assert.equal((await ask('POST', LOGIN, password('alice', secret))).body.errcode, 'M_FORBIDDEN')
  }
})

test('guessing ends after ten failures, for this account and address, until it is over', async () => {
  const { ask, user, clock } = await openAccounts()
  await user('alice')
  await user('bob')
  for (let i = 0; i < 20; i++) assert.equal((await ask('POST', LOGIN, password('bob'))).status, 200)
  const guesses = await Promise.all(Array.from({ length: 30 }, () => ask('POST', LOGIN, password('alice', 'guess'))))
  const heard = guesses.filter(({ status }) => status === 403).length
  assert.ok(heard >= 10 && heard <= 12, `${heard} guesses were looked at`)
  const limited = await ask('POST', LOGIN, password('alice'))
  assert.deepEqual([limited.status, limited.body.errcode], [429, 'M_LIMIT_EXCEEDED'])
  assert.ok(Number(limited.headers['retry-after']) > 0)
  assert.equal((await ask('POST', LOGIN, password('bob'))).status, 200)
  await clock.advance(300_000)
  assert.equal((await ask('POST', LOGIN, password('alice'))).status, 200)
})

test('no limits where they are turned off', async () => {
  const { ask, user } = await openAccounts({ rateLimits: false })
  await user('alice')
  for (let i = 0; i < 15; i++) assert.equal((await ask('POST', LOGIN, password('alice', 'guess'))).status, 403)
  assert.equal((await ask('POST', LOGIN, password('alice'))).status, 200)
})

test('wrong shapes are refused', async () => {
  const { ask } = await openAccounts()
  const errors: [unknown, string][] = [
    [{}, 'M_BAD_JSON'],
    [{ type: 'm.login.palm' }, 'M_UNKNOWN'],
    [{ ...password('alice'), password: undefined }, 'M_MISSING_PARAM'],
    [{ ...password('alice'), password: 5 }, 'M_BAD_JSON'],
    [{ ...password('alice'), identifier: undefined }, 'M_MISSING_PARAM'],
    [{ ...password('alice'), identifier: 'alice' }, 'M_BAD_JSON'],
    [{ ...password('alice'), device_id: 'x'.repeat(256) }, 'M_BAD_JSON'],
    [{ ...password('alice'), initial_device_display_name: '\0' }, 'M_BAD_JSON'],
  ]
  for (const [body, errcode] of errors) {
    const answer = await ask('POST', LOGIN, body)
    assert.deepEqual([answer.status, answer.body.errcode], [400, errcode], JSON.stringify(body))
  }
})

test('logging out ends a session, or all of them', async () => {
  const { ask, user } = await openAccounts()
  const { token } = await user('alice')
  const other = (await ask('POST', LOGIN, password('alice'))).body.access_token as string
  const third = (await ask('POST', LOGIN, password('alice'))).body.access_token as string
  const isIn = async (one: string) => (await ask('GET', WHOAMI, undefined, one)).status === 200
  assert.equal((await ask('POST', '/_matrix/client/v3/logout', undefined, token)).status, 200)
  assert.deepEqual([await isIn(token), await isIn(other), await isIn(third)], [false, true, true])
  assert.equal((await ask('POST', '/_matrix/client/v3/logout/all', 'not JSON', other)).status, 200)
  assert.deepEqual([await isIn(other), await isIn(third)], [false, false])
  assert.equal((await ask('POST', '/_matrix/client/v3/logout', {}, token)).body.errcode, 'M_UNKNOWN_TOKEN')
  assert.equal((await ask('POST', '/_matrix/client/v3/logout', {})).body.errcode, 'M_MISSING_TOKEN')
})

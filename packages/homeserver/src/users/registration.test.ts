import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accountsOn } from '../../test/support/accounts.ts'
import { forEachDatabase } from '../../test/support/databases.ts'
import { findAccount } from '../storage/accounts.ts'
import type { Registered } from './registration.ts'

const ip = '192.0.2.1'
const dummy = { type: 'm.login.dummy' }
const withToken = (token: string) => ({ type: 'm.login.registration_token', token })

forEachDatabase((database) => {
  test('the first token makes one admin, stays the same until then, and is gone', async () => {
    const { users, store } = await accountsOn(await database.open(), { registration: 'token' })
    const token = await users.ensureFirstToken()
    assert.match(token!, /^[\w-]{32}$/)
    assert.equal(await users.ensureFirstToken(), token)
    assert.equal(await users.isRegistrationTokenValid(token!, ip), true)

    const outcome = await users.register({ username: 'root', password: 'x' }, withToken(token!), ip)
    assert.equal(outcome.kind, 'registered')
    assert.equal((await findAccount(store.db, (outcome as Registered).userId))?.is_admin, 1)
    assert.equal(await users.ensureFirstToken(), undefined)
    assert.equal(await users.isRegistrationTokenValid(token!, ip), false)
    const second = await users.register({ username: 'eve', password: 'x' }, withToken(token!), ip)
    assert.equal(second.kind === 'challenge' && second.challenge.errcode, 'M_UNAUTHORIZED')
  })

  test('an unused first token stays until there is an admin', async () => {
    const { users } = await accountsOn(await database.open(), { registration: 'token', registrationToken: 'fixed' })
    const token = await users.ensureFirstToken()
    const outcome = await users.register({ username: 'alice', password: 'x' }, withToken('fixed'), ip)
    assert.equal(outcome.kind, 'registered')
    assert.equal(await users.ensureFirstToken(), token)
    assert.equal((await users.create({ localpart: 'root', password: 'x', admin: true })).kind, 'created')
    assert.equal(await users.ensureFirstToken(), undefined)
    assert.equal(await users.isRegistrationTokenValid(token!, ip), false)
  })

  test('there is no first token once there are accounts, nor where registration takes none', async () => {
    const store = await database.open()
    const { users } = await accountsOn(store, { registration: 'open' })
    assert.equal(await users.ensureFirstToken(), undefined)
    await users.create({ localpart: 'alice', password: 'x', admin: false })
    const { users: restarted } = await accountsOn(store, { registration: 'token' })
    assert.equal(await restarted.ensureFirstToken(), undefined)
  })

  test('a token for one account makes one, however many come at the same time', async () => {
    const { users, store } = await accountsOn(await database.open(), { registration: 'token' })
    const token = (await users.ensureFirstToken())!
    const names = ['a', 'b', 'c', 'd', 'e', 'f']
    const outcomes = await Promise.all(
      names.map((username) => users.register({ username, password: 'x' }, withToken(token), ip)),
    )
    assert.equal(outcomes.filter((outcome) => outcome.kind === 'registered').length, 1)
    const accounts = await store.db.selectFrom('users').select('is_admin').execute()
    assert.deepEqual(
      accounts.map((account) => account.is_admin),
      [1],
    )
  })

  test('a name is given once, however many want it at the same time', async () => {
    const { users } = await accountsOn(await database.open())
    const outcomes = await Promise.allSettled(
      Array.from({ length: 6 }, () => users.register({ username: 'alice', password: 'x' }, dummy, ip)),
    )
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected')
    assert.equal(refused.length, 5)
    for (const { reason } of refused) assert.equal(reason.errcode, 'M_USER_IN_USE')
  })

  test('an account is not made if its device cannot be', async () => {
    const store = await database.open()
    const { users } = await accountsOn(store, { registration: 'token' })
    const token = (await users.ensureFirstToken())!
    const createSession = async () => {
      throw new Error('no device')
    }
    const failing = await accountsOn(store, { registration: 'token', createSession })
    await assert.rejects(
      failing.users.register({ username: 'alice', password: 'x' }, withToken(token), ip),
      /no device/,
    )
    assert.deepEqual(await store.db.selectFrom('users').selectAll().execute(), [])
    assert.equal(await users.isRegistrationTokenValid(token, ip), true)
  })

  test('the same session again logs the same account in again, also at the same time', async () => {
    const { users } = await accountsOn(await database.open())
    const begun = await users.register({ password: 'x' }, undefined, ip)
    assert.ok(begun.kind === 'challenge')
    const auth = { ...dummy, session: begun.challenge.session }
    const outcomes = await Promise.all(Array.from({ length: 4 }, () => users.register({ password: 'x' }, auth, ip)))
    outcomes.push(await users.register({ password: 'x' }, auth, ip))
    const registered = outcomes.filter((outcome) => outcome.kind === 'registered')
    assert.equal(registered.length, 5)
    assert.equal(new Set(registered.map(({ userId }) => userId)).size, 1)
    assert.equal(new Set(registered.map(({ session }) => session?.deviceId)).size, 1)
    assert.equal(new Set(registered.map(({ session }) => session?.accessToken)).size, 5)
  })

  test('a session remembers what was asked for, but no password', async () => {
    const { users, store } = await accountsOn(await database.open())
    const wish = { username: 'Alice', password: 'geheim', deviceId: 'PHONE', displayName: 'My phone' }
    const begun = await users.register(wish, undefined, ip)
    assert.ok(begun.kind === 'challenge')
    const { state } = await store.db.selectFrom('uia_sessions').select('state').executeTakeFirstOrThrow()
    assert.doesNotMatch(state, /geheim/)
    const outcome = await users.register({}, { ...dummy, session: begun.challenge.session }, ip)
    assert.ok(outcome.kind === 'registered')
    assert.deepEqual([outcome.userId, outcome.session?.deviceId], ['@alice:example.org', 'PHONE'])
    const named = { user: 'alice' }
    const device = { deviceId: undefined, displayName: undefined }
    assert.equal((await users.login({ named, password: 'geheim', device, ip })).userId, '@alice:example.org')
    const after = await store.db.selectFrom('uia_sessions').select('state').executeTakeFirstOrThrow()
    assert.doesNotMatch(after.state, /argon2/)
  })

  test('the operator is told why an account cannot be made', async () => {
    const { users } = await accountsOn(await database.open(), { registration: 'closed' })
    const create = (localpart: string, password = 'x') => users.create({ localpart, password, admin: false })
    assert.deepEqual(await create('Alice'), { kind: 'created', userId: '@alice:example.org' })
    assert.deepEqual(await create('alice'), { kind: 'name in use' })
    assert.deepEqual(await create('al ice'), { kind: 'invalid name' })
    assert.deepEqual(await create('bob', ''), { kind: 'invalid password' })
  })
})

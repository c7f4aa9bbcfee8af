import assert from 'node:assert/strict'
import { test } from 'node:test'
import Fastify from 'fastify'
import { accountsOn } from '../../test/support/accounts.ts'
import type { Context } from '../context.ts'
import { silentLogger } from '../platform/logger.ts'
import { sqliteBackend } from '../storage/dialect.ts'
import { openStore } from '../storage/store.ts'
import { errorHandler } from './errors.ts'
import { requireAuth } from './uia.ts'

/** A server whose one route, `DELETE /things/…`, is alice's to confirm. */
async function confirming() {
  const { users, user } = await accountsOn(await openStore(sqliteBackend(':memory:')))
  const [alice, eve] = [await user('alice'), await user('eve')]
  const app = Fastify()
  app.setErrorHandler(errorHandler(silentLogger))
  app.delete('/things/:id', async (request) => {
    request.requester = {
      userId: alice.userId,
      deviceId: alice.deviceId,
      isGuest: false,
      isAdmin: false,
      isLocked: false,
      isSuspended: false,
    }
    await requireAuth({ users } as Context, request, (request.body as { auth?: unknown } | undefined)?.auth)
    return { done: true }
  })
  const remove = async (id: string, auth?: unknown) => {
    const answer = await app.inject({
      method: 'DELETE',
      url: `/things/${id}?x=${id}`,
      ...(auth ? { body: { auth } } : {}),
    })
    return { status: answer.statusCode, body: answer.json() }
  }
  const password = (user: string, secret = 'secret') => ({
    type: 'm.login.password',
    identifier: { type: 'm.id.user', user },
    password: secret,
  })
  return { remove, password, alice, eve }
}

test('a request is carried out once its user has given the password', async () => {
  const { remove, password, alice } = await confirming()
  const first = await remove('a')
  assert.equal(first.status, 401)
  const { session, ...rest } = first.body
  assert.deepEqual(rest, { flows: [{ stages: ['m.login.password'] }], params: {}, completed: [] })

  const wrong = await remove('a', { ...password('alice', 'guess'), session })
  assert.deepEqual([wrong.status, wrong.body.errcode, wrong.body.session], [401, 'M_FORBIDDEN', session])
  assert.ok(wrong.body.error)
  const right = await remove('a', { ...password(alice.userId), session })
  assert.deepEqual([right.status, right.body], [200, { done: true }])
})

test('what was confirmed for one request is no good for another', async () => {
  const { remove, password } = await confirming()
  const { session } = (await remove('a')).body
  const other = await remove('b', { ...password('alice'), session })
  assert.deepEqual([other.status, other.body.errcode], [403, 'M_FORBIDDEN'])
  await remove('a', { ...password('alice'), session })
  assert.equal((await remove('a', { session })).status, 401)
})

test('nobody else can confirm it, with whatever password', async () => {
  const { remove, password, eve } = await confirming()
  for (const secret of ['secret', 'guess']) {
    const answer = await remove('a', password(eve.userId, secret))
    assert.deepEqual([answer.status, answer.body.errcode], [403, 'M_FORBIDDEN'])
  }
})

test('guessing ends here as it does at login', async () => {
  const { remove, password } = await confirming()
  for (let i = 0; i < 10; i++) assert.equal((await remove('a', password('alice', 'guess'))).status, 401)
  assert.equal((await remove('a', password('alice'))).status, 429)
})

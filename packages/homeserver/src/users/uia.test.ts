import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachDatabase } from '../../test/support/databases.ts'
import { createFakeClock } from '../../test/support/fake-clock.ts'
import { createSeededRandom } from '../../test/support/seeded-random.ts'
import type { UserId } from '../matrix/ids.ts'
import type { Store } from '../storage/store.ts'
import { findUiaSession, trimUiaSessions } from '../storage/uia-sessions.ts'
import { createUia, type Flow, type StageCheck, type UiaRequest } from './uia.ts'

const MINUTE = 60_000
const flows: Flow[] = [
  ['m.login.registration_token', 'm.login.dummy'],
  ['m.login.registration_token', 'm.login.password'],
]

/** Each stage takes `right` for an answer. */
function uiaOn(store: Store) {
  const clock = createFakeClock()
  let checked = 0
  const check: StageCheck = async (auth) => {
    checked++
    return auth.answer === 'right' ? 'proof' : { errcode: 'M_FORBIDDEN', error: 'wrong' }
  }
  const checks = { 'm.login.password': check, 'm.login.dummy': check, 'm.login.registration_token': check }
  const uia = createUia({ store, clock, random: createSeededRandom('uia'), checks })
  const request = (auth: unknown, changed: Partial<UiaRequest> = {}): UiaRequest => ({
    purpose: 'DELETE /devices/A @alice:example.org',
    flows,
    userId: '@alice:example.org' as UserId,
    ip: '192.0.2.1',
    auth,
    ...changed,
  })
  return { uia, clock, store, request, checked: () => checked }
}

forEachDatabase((database) => {
  test('a request without auth is told what to do', async () => {
    const { uia, request } = uiaOn(await database.open())
    const challenge = await uia.confirm(request(undefined))
    assert.match(challenge!.session, /^[\w-]{24}$/)
    assert.deepEqual(challenge, {
      session: challenge!.session,
      flows: flows.map((stages) => ({ stages })),
      params: {},
      completed: [],
    })
  })

  test('stages are completed one after the other, and then the session is gone', async () => {
    const { uia, request } = uiaOn(await database.open())
    const { session } = (await uia.confirm(request(undefined)))!
    const first = { session, type: 'm.login.registration_token', answer: 'right' }
    assert.deepEqual((await uia.confirm(request(first)))?.completed, ['m.login.registration_token'])
    const second = { session, type: 'm.login.password', answer: 'right' }
    assert.equal(await uia.confirm(request(second)), undefined)
    const again = await uia.confirm(request({ session }))
    assert.deepEqual([again?.completed, again?.session === session], [[], false])
  })

  test('a wrong answer leaves what was completed, and a completed stage is not asked again', async () => {
    const { uia, request, checked } = uiaOn(await database.open())
    const first = { type: 'm.login.registration_token', answer: 'right' }
    const { session } = (await uia.confirm(request(first)))!
    const wrong = await uia.confirm(request({ session, type: 'm.login.password', answer: 'no' }))
    assert.deepEqual(
      [wrong?.session, wrong?.completed, wrong?.errcode, wrong?.error],
      [session, ['m.login.registration_token'], 'M_FORBIDDEN', 'wrong'],
    )
    const before = checked()
    const repeated = await uia.confirm(request({ ...first, session, answer: 'no' }))
    assert.deepEqual([repeated?.completed, repeated?.errcode], [['m.login.registration_token'], undefined])
    assert.equal(checked(), before)
    assert.equal(await uia.confirm(request({ session, type: 'm.login.dummy', answer: 'right' })), undefined)
  })

  test('stages out of order, and unknown ones, are refused', async () => {
    const { uia, request, checked } = uiaOn(await database.open())
    for (const type of ['m.login.password', 'm.login.sso', 'toString']) {
      const challenge = await uia.confirm(request({ type, answer: 'right' }))
      assert.deepEqual([challenge?.completed, challenge?.errcode], [[], 'M_INVALID_PARAM'], type)
    }
    assert.equal(checked(), 0)
  })

  test('a session is good for what it was begun for only', async () => {
    const { uia, request } = uiaOn(await database.open())
    const { session } = (await uia.confirm(request({ type: 'm.login.registration_token', answer: 'right' })))!
    const auth = { session, type: 'm.login.dummy', answer: 'right' }
    await assert.rejects(uia.confirm(request(auth, { purpose: 'DELETE /devices/B @alice:example.org' })), {
      status: 403,
      errcode: 'M_FORBIDDEN',
    })
    assert.equal(await uia.confirm(request(auth)), undefined)
  })

  test('a session ends after half an hour', async () => {
    const { uia, request, clock } = uiaOn(await database.open())
    const { session } = (await uia.confirm(request({ type: 'm.login.registration_token', answer: 'right' })))!
    await clock.advance(30 * MINUTE)
    const late = await uia.confirm(request({ session, type: 'm.login.dummy', answer: 'right' }))
    assert.deepEqual([late?.completed, late?.session === session], [[], false])
  })

  test('a single stage needs no session: one that was lost does not matter', async () => {
    const { uia, request } = uiaOn(await database.open())
    const auth = { session: 'unknown', type: 'm.login.password', answer: 'right' }
    assert.equal(await uia.confirm(request(auth, { flows: [['m.login.password']] })), undefined)
  })

  test('flows that changed meanwhile begin anew', async () => {
    const { uia, request } = uiaOn(await database.open())
    const { session } = (await uia.confirm(request({ type: 'm.login.registration_token', answer: 'right' })))!
    const challenge = await uia.confirm(request({ session }, { flows: [['m.login.dummy']] }))
    assert.deepEqual(challenge?.completed, [])
  })

  test('misshapen auth is an error', async () => {
    const { uia, request } = uiaOn(await database.open())
    for (const auth of ['x', 5, [], { type: 5 }, { session: {} }]) {
      await assert.rejects(uia.confirm(request(auth)), { errcode: 'M_BAD_JSON' }, JSON.stringify(auth))
    }
  })

  test('the number of sessions is bounded: the oldest go', async () => {
    const { uia, request, clock, store } = uiaOn(await database.open())
    const sessions: string[] = []
    for (let i = 0; i < 5; i++) {
      sessions.push((await uia.confirm(request(undefined)))!.session)
      await clock.advance(1)
    }
    await trimUiaSessions(store.db, 0, 3)
    const kept = await Promise.all(sessions.map((session) => findUiaSession(store.db, session, 0)))
    assert.deepEqual(
      kept.map((session) => session !== undefined),
      [false, false, true, true, true],
    )
  })
})

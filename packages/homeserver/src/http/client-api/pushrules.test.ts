import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accountsOn } from '../../../test/support/accounts.ts'
import { forEachDatabase, type TestDatabase } from '../../../test/support/databases.ts'

async function alicesRules(database: TestDatabase) {
  const { ask, user } = await accountsOn(await database.open())
  const { token } = await user('alice')
  const call = (method: 'GET' | 'PUT' | 'DELETE' | 'POST', path: string, body?: unknown) =>
    ask(method, `/_matrix/client/v3/pushrules${path}`, body, token)
  return {
    call,
    get: async (path: string): Promise<unknown> => (await call('GET', path)).body,
    put: (path: string, body: unknown) => call('PUT', path, body),
  }
}

forEachDatabase((database) => {
  test('a rule of each kind can be added, and read in every way', async () => {
    const { get, put } = await alicesRules(database)
    const conditions = [{ kind: 'event_match', key: 'content.msgtype', pattern: 'm.notice' }]
    const cases: [string, string, object][] = [
      ['room', '#spam:example.com', {}],
      ['sender', '@bob:example.com', {}],
      ['content', 'тест', { pattern: 'тест' }],
      ['override', 'mine', { conditions }],
      ['override', 'bare', { conditions: [] }],
      ['underride', 'mine', { conditions }],
    ]
    for (const [kind, id, parts] of cases) {
      const path = `/global/${kind}/${encodeURIComponent(id)}`
      const actions = ['notify', { set_tweak: 'sound', value: 'default' }]
      assert.deepEqual((await put(path, { ...parts, actions })).body, {})
      const rule = { rule_id: id, default: false, enabled: true, actions, ...parts }
      assert.deepEqual(await get(path), rule)
      assert.deepEqual(await get(`${path}/enabled`), { enabled: true })
      assert.deepEqual(await get(`${path}/actions`), { actions })
      const rules = (await get('/')) as { global: Record<string, object[]> }
      assert.ok(rules.global[kind]?.some((one) => JSON.stringify(one) === JSON.stringify(rule)))
      assert.deepEqual(await get('/global/'), rules.global)
      assert.deepEqual(await get(`/global/${kind}/`), rules.global[kind])
    }
  })

  test('rules are changed and removed', async () => {
    const { call, get, put } = await alicesRules(database)
    const names = async () => ((await get('/global/room/')) as { rule_id: string }[]).map((rule) => rule.rule_id)
    for (const id of ['!a', '!b']) await put(`/global/room/${id}`, { actions: ['notify'] })
    await put('/global/room/!c?before=!a', { actions: [] })
    await put('/global/room/!d?after=!a', { actions: [] })
    assert.deepEqual(await names(), ['!b', '!c', '!a', '!d'])
    assert.equal((await put('/global/room/!a/enabled', { enabled: false })).status, 200)
    assert.equal((await put('/global/room/!a/actions', { actions: ['dont_notify'] })).status, 200)
    assert.deepEqual(await get('/global/room/!a'), {
      rule_id: '!a',
      default: false,
      enabled: false,
      actions: ['dont_notify'],
    })
    assert.equal((await call('DELETE', '/global/room/!c')).status, 200)
    assert.deepEqual(await names(), ['!b', '!a', '!d'])
    assert.equal((await call('DELETE', '/global/room/!c')).status, 404)
  })

  test('every default rule can be changed, and none added or removed', async () => {
    const { call, get, put } = await alicesRules(database)
    const rules = (await get('/global/')) as Record<string, { rule_id: string }[]>
    for (const [kind, list] of Object.entries(rules)) {
      for (const { rule_id: id } of list) {
        for (const enabled of [true, false]) {
          await put(`/global/${kind}/${id}/enabled`, { enabled })
          assert.deepEqual(await get(`/global/${kind}/${id}/enabled`), { enabled }, id)
        }
        await put(`/global/${kind}/${id}/actions`, { actions: ['dont_notify'] })
        assert.deepEqual(await get(`/global/${kind}/${id}/actions`), { actions: ['dont_notify'] }, id)
      }
    }
    assert.equal((await call('DELETE', '/global/override/.m.rule.master')).body.errcode, 'M_NOT_FOUND')
    for (const id of ['.m.rule.master', '.mine']) {
      assert.equal((await put(`/global/override/${id}`, { actions: [] })).body.errcode, 'M_INVALID_PARAM')
    }
  })

  test('changes at the same time are all kept', async () => {
    const { get, put } = await alicesRules(database)
    const ids = Array.from({ length: 8 }, (_, index) => `!r${index}`)
    await Promise.all(ids.map((id) => put(`/global/room/${id}`, { actions: [] })))
    const rules = (await get('/global/room/')) as { rule_id: string }[]
    assert.deepEqual(rules.map((rule) => rule.rule_id).sort(), ids)
  })

  test('what is not a rule is refused', async () => {
    const { put } = await alicesRules(database)
    const wrong: [string, object, string][] = [
      ['/', {}, 'M_UNRECOGNIZED'],
      ['/not_a_scope/room/x', { actions: [] }, 'M_UNRECOGNIZED'],
      ['/global', {}, 'M_UNRECOGNIZED'],
      ['/global/room', {}, 'M_UNRECOGNIZED'],
      ['/global/room/', { actions: [] }, 'M_INVALID_PARAM'],
      ['/global/not_a_kind/x', { actions: [] }, 'M_INVALID_PARAM'],
      ['/global/room/a%2Fb', { actions: [] }, 'M_INVALID_PARAM'],
      ['/global/room/a%5Cb', { actions: [] }, 'M_INVALID_PARAM'],
      ['/global/override/x', {}, 'M_BAD_JSON'],
      ['/global/override/x', { actions: [], conditions: [{}] }, 'M_BAD_JSON'],
      ['/global/content/x', { actions: [] }, 'M_MISSING_PARAM'],
      ['/global/room/x', { actions: ['not_an_action'] }, 'M_BAD_JSON'],
      ['/global/room/x', { actions: [{ set_tweak: 1 }] }, 'M_BAD_JSON'],
      ['/global/room/x?before=!missing', { actions: [] }, 'M_UNKNOWN'],
      ['/global/override/x?after=.m.rule.master', { actions: [] }, 'M_UNKNOWN'],
      ['/global/override/.m.rule.master/not_an_attribute', { enabled: true }, 'M_UNRECOGNIZED'],
      ['/global/override/.m.rule.master/enabled', { enabled: 'yes' }, 'M_BAD_JSON'],
      ['/global/override/.m.rule.master/actions', {}, 'M_BAD_JSON'],
    ]
    for (const [path, body, errcode] of wrong) {
      const answer = await put(path, body)
      assert.deepEqual([answer.status, answer.body.errcode], [400, errcode], `${path} ${JSON.stringify(body)}`)
    }
  })

  test('what is not there is not found, and a path cut short is a mistake', async () => {
    const { call, put } = await alicesRules(database)
    for (const path of [
      '',
      '/global/override/unknown',
      '/global/override/unknown/actions',
      '/global/room/.m.rule.master',
    ]) {
      assert.equal((await call('GET', path)).status, 404, path)
    }
    for (const path of [
      '/global',
      '/global/room',
      '/not_a_scope/',
      '/global/not_a_kind/',
      '/global/room/x/not_an_attribute',
    ]) {
      assert.equal((await call('GET', path)).status, 400, path)
    }
    const missing = await put('/global/sender/@bob:example.com/actions', { actions: [] })
    assert.deepEqual([missing.status, missing.body.errcode], [404, 'M_NOT_FOUND'])
    assert.equal((await put('/global/override/.not.a.default/enabled', { enabled: true })).status, 404)
    assert.equal((await call('POST', '/global/room/x', {})).status, 405)
  })

  test('what one user keeps is bounded', async () => {
    const { put } = await alicesRules(database)
    const pattern = 'x'.repeat(100_000)
    assert.equal((await put('/global/content/a', { pattern, actions: [] })).status, 200)
    assert.equal((await put('/global/content/b', { pattern, actions: [] })).status, 200)
    const third = await put('/global/content/c', { pattern, actions: [] })
    assert.deepEqual([third.status, third.body.errcode], [413, 'M_TOO_LARGE'])
  })
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accountsOn } from '../../../test/support/accounts.ts'
import { forEachDatabase } from '../../../test/support/databases.ts'
import { accountDataSince } from '../../storage/account-data.ts'

forEachDatabase((database) => {
  test('account data is kept by type, and by room', async () => {
    const { ask, user } = await accountsOn(await database.open())
    const { userId, token } = await user('alice')
    const own = `/_matrix/client/v3/user/${userId}`
    const paths = [
      `${own}/account_data/org.example.x`,
      `${own}/rooms/!a:example.org/account_data/org.example.x`,
      `${own}/rooms/!b:example.org/account_data/org.example.x`,
    ]
    for (const path of paths) {
      assert.equal((await ask('GET', path, undefined, token)).body.errcode, 'M_NOT_FOUND')
      assert.deepEqual((await ask('PUT', path, { frogs: path }, token)).body, {})
    }
    await ask('PUT', paths[0]!, { cats: 1.5, __proto__: null, nul: '\0' }, token)
    assert.deepEqual((await ask('GET', paths[0]!, undefined, token)).body, { cats: 1.5, nul: '\0' })
    assert.deepEqual((await ask('GET', paths[1]!, undefined, token)).body, { frogs: paths[1] })
    assert.deepEqual((await ask('GET', paths[2]!, undefined, token)).body, { frogs: paths[2] })
  })

  test('what belongs to others, to the server or nowhere is refused', async () => {
    const { ask, user } = await accountsOn(await database.open())
    const [alice, eve] = [await user('alice'), await user('eve')]
    const own = `/_matrix/client/v3/user/${alice.userId}`
    const put = async (path: string, body: unknown, token: string) => {
      const answer = await ask('PUT', `${own}${path}`, body, token)
      return [answer.status, answer.body.errcode]
    }
    assert.deepEqual(await put('/account_data/x', {}, eve.token), [403, 'M_FORBIDDEN'])
    assert.deepEqual((await ask('GET', `${own}/account_data/m.push_rules`, undefined, eve.token)).status, 403)
    for (const path of ['/account_data', '/rooms/!a:example.org/account_data']) {
      for (const type of ['m.fully_read', 'm.push_rules']) {
        assert.deepEqual(await put(`${path}/${type}`, {}, alice.token), [405, 'M_BAD_JSON'])
      }
    }
    for (const body of [[], 'x', undefined, 'null']) {
      assert.equal((await put('/account_data/x', body, alice.token))[0], 400)
    }
    for (const room of ['@notaroom:example.org', '!', `!${'a'.repeat(255)}`, '!a%00']) {
      assert.deepEqual(await put(`/rooms/${room}/account_data/x`, {}, alice.token), [400, 'M_INVALID_PARAM'], room)
    }
    assert.deepEqual(await put('/account_data/a%00', {}, alice.token), [400, 'M_INVALID_PARAM'])
    assert.deepEqual(await put(`/account_data/${'a'.repeat(256)}`, {}, alice.token), [400, 'M_INVALID_PARAM'])
  })

  test('every change has a place in the stream, and wakes the user', async () => {
    const store = await database.open()
    const { ask, user, users } = await accountsOn(store)
    const { userId, token } = await user('alice')
    let woken = 0
    store.notifier.subscribe(userId, () => woken++)
    const start = await store.position()
    const set = (path: string, n: number) => ask('PUT', `/_matrix/client/v3/user/${userId}${path}`, { n }, token)
    await set('/account_data/a', 1)
    await set('/rooms/!r:example.org/account_data/a', 2)
    const middle = await store.position()
    await set('/account_data/b', 3)
    await set('/account_data/a', 4)
    const end = await store.position()
    assert.equal(woken, 4)

    const shown = async (after: number, upTo: number) =>
      (await accountDataSince(store.db, userId, after, upTo)).map(({ room_id, content }) => `${room_id}${content}`)
    assert.deepEqual(await shown(start, middle), ['!r:example.org{"n":2}'])
    assert.deepEqual(await shown(middle, end), ['{"n":3}', '{"n":4}'])
    assert.deepEqual(await shown(end, end), [])
    assert.deepEqual(await users.accountDataEvents(userId, start, end), [
      { type: 'b', content: { n: 3 } },
      { type: 'a', content: { n: 4 } },
    ])
  })

  test('push rules are among the account data from the beginning, and when they change', async () => {
    const store = await database.open()
    const { ask, user, users } = await accountsOn(store)
    const { userId, token } = await user('alice')
    const start = await store.position()
    const [first, ...others] = await users.accountDataEvents(userId, 0, start)
    assert.deepEqual([first?.type, others], ['m.push_rules', []])
    const rules = await ask('GET', '/_matrix/client/v3/pushrules/', undefined, token)
    assert.deepEqual(first?.content, rules.body)
    assert.deepEqual(await users.accountDataEvents(userId, start, start), [])

    const master = '/_matrix/client/v3/pushrules/global/override/.m.rule.master/enabled'
    await ask('PUT', master, { enabled: true }, token)
    const end = await store.position()
    const changed = await users.accountDataEvents(userId, start, end)
    const now = await ask('GET', `/_matrix/client/v3/user/${userId}/account_data/m.push_rules`, undefined, token)
    assert.deepEqual(changed, [{ type: 'm.push_rules', content: now.body }])
    assert.notDeepEqual(now.body, rules.body)
    assert.deepEqual(await users.accountDataEvents(userId, 0, end), changed)
  })
})

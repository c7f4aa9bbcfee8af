import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accountsOn } from '../../../test/support/accounts.ts'
import { forEachDatabase } from '../../../test/support/databases.ts'

forEachDatabase((database) => {
  test('tags are set, listed, removed, and shown as account data of their room', async () => {
    const store = await database.open()
    const { ask, user, users } = await accountsOn(store)
    const { userId, token } = await user('alice')
    const path = `/_matrix/client/v3/user/${userId}/rooms/!r:example.org/tags`
    const list = async () => (await ask('GET', path, undefined, token)).body
    assert.deepEqual(await list(), { tags: {} })
    assert.deepEqual((await ask('PUT', `${path}/m.favourite`, { order: 0.25 }, token)).body, {})
    await ask('PUT', `${path}/__proto__`, { org: 'x' }, token)
    await ask('PUT', `${path}/${encodeURIComponent('u.to do')}`, {}, token)
    await ask('PUT', `${path}/m.favourite`, { order: 1 }, token)
    const tags = JSON.parse('{"m.favourite": {"order": 1}, "__proto__": {"org": "x"}, "u.to do": {}}')
    assert.deepEqual(await list(), { tags })
    const middle = await store.position()
    assert.deepEqual((await ask('DELETE', `${path}/__proto__`, undefined, token)).body, {})
    assert.deepEqual((await ask('DELETE', `${path}/none`, undefined, token)).body, {})
    const shown = await users.roomAccountDataSince(userId, middle, await store.position())
    const content = { tags: { 'm.favourite': { order: 1 }, 'u.to do': {} } }
    assert.deepEqual([...shown], [['!r:example.org', [{ type: 'm.tag', content }]]])
    const byType = `/_matrix/client/v3/user/${userId}/rooms/!r:example.org/account_data/m.tag`
    assert.deepEqual((await ask('GET', byType, undefined, token)).body, content)
    // What a client has set to anything is no reason to fail.
    await ask('PUT', byType, { tags: 'none' }, token)
    assert.deepEqual(await list(), { tags: {} })
  })

  test('bad tags, and those of others, are refused', async () => {
    const { ask, user } = await accountsOn(await database.open())
    const [alice, eve] = [await user('alice'), await user('eve')]
    const of = (room: string) => `/_matrix/client/v3/user/${alice.userId}/rooms/${room}/tags`
    const put = async (name: string, body: unknown, token = alice.token, room = '!r:example.org') => {
      const answer = await ask('PUT', `${of(room)}/${name}`, body, token)
      return `${answer.status} ${answer.body.errcode}`
    }
    assert.equal(await put('x', {}, eve.token), '403 M_FORBIDDEN')
    assert.equal((await ask('GET', of('!r:example.org'), undefined, eve.token)).status, 403)
    assert.equal((await ask('DELETE', `${of('!r:example.org')}/x`, undefined, eve.token)).status, 403)
    assert.equal(await put('x', {}, alice.token, 'nonsense'), '400 M_INVALID_PARAM')
    assert.equal(await put('x'.repeat(256), {}), '400 M_INVALID_PARAM')
    assert.equal(await put('x%00', {}), '400 M_INVALID_PARAM')
    for (const body of [{ order: 'first' }, { order: 1.5 }, { order: -1 }, []])
      assert.match(await put('x', body), /^400/)
    assert.equal(await put('x', { note: 'x'.repeat(5_000) }), '413 M_TOO_LARGE')
    const answers = []
    for (let n = 0; n < 20; n++) answers.push(await put(`x${n}`, { note: 'x'.repeat(4_000) }))
    assert.deepEqual([answers[0], answers.at(-1)], ['200 undefined', '413 M_TOO_LARGE'])
  })
})

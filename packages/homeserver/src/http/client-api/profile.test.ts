import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accountsOn } from '../../../test/support/accounts.ts'
import { forEachDatabase } from '../../../test/support/databases.ts'

const BASE = '/_matrix/client/v3/profile'

forEachDatabase((database) => {
  test('a profile is its owner’s to change and everybody’s to read', async () => {
    const { ask, user } = await accountsOn(await database.open())
    const [alice, eve] = [await user('alice'), await user('eve')]
    const mine = `${BASE}/${alice.userId}`
    assert.deepEqual((await ask('GET', mine)).body, { displayname: 'alice' })
    assert.equal((await ask('GET', `${mine}/avatar_url`)).body.errcode, 'M_NOT_FOUND')

    const fields = {
      displayname: 'Alice',
      avatar_url: 'mxc://example.org/SEsfnsuifSDFSSEF',
      'm.tz': 'Europe/London',
      'org.example.pronouns': [{ language: 'en', summary: 'she/her' }],
      'org.example.nothing': null,
    }
    for (const [name, value] of Object.entries(fields)) {
      const answer = await ask('PUT', `${mine}/${name}`, { [name]: value }, alice.token)
      assert.deepEqual([answer.status, answer.body], [200, {}], name)
      assert.deepEqual((await ask('GET', `${mine}/${name}`)).body, { [name]: value })
    }
    assert.deepEqual((await ask('GET', mine)).body, fields)

    await ask('PUT', `${mine}/displayname`, { displayname: 'Alicia' }, alice.token)
    assert.deepEqual((await ask('GET', `/_matrix/client/r0/profile/${alice.userId}/displayname`)).body, {
      displayname: 'Alicia',
    })
    assert.equal((await ask('DELETE', `${mine}/m.tz`, undefined, alice.token)).status, 200)
    assert.equal((await ask('DELETE', `${mine}/m.tz`, undefined, alice.token)).status, 200)
    assert.equal((await ask('GET', `${mine}/m.tz`)).status, 404)

    for (const method of ['PUT', 'DELETE'] as const) {
      const answer = await ask(method, `${mine}/displayname`, { displayname: 'Eve' }, eve.token)
      assert.deepEqual([answer.status, answer.body.errcode], [403, 'M_FORBIDDEN'])
      assert.equal((await ask(method, `${mine}/displayname`, { displayname: 'x' })).body.errcode, 'M_MISSING_TOKEN')
    }
  })

  test('an empty name or picture takes the old one away', async () => {
    const { ask, user } = await accountsOn(await database.open())
    const { userId, token } = await user('alice')
    for (const name of ['displayname', 'avatar_url']) {
      await ask('PUT', `${BASE}/${userId}/${name}`, { [name]: 'x' }, token)
      assert.equal((await ask('PUT', `${BASE}/${userId}/${name}`, { [name]: '' }, token)).status, 200)
    }
    assert.deepEqual((await ask('GET', `${BASE}/${userId}`)).body, {})
  })

  test('fields have a name, a value and a size', async () => {
    const { ask, user } = await accountsOn(await database.open())
    const { userId, token } = await user('alice')
    const put = async (name: string, body: unknown) =>
      (await ask('PUT', `${BASE}/${userId}/${name}`, body, token)).body.errcode
    for (const name of ['nick', 'Org.example', 'm..x', '__proto__', '.x', 'a.b%00', 'a%20.b']) {
      assert.equal(await put(name, { [decodeURIComponent(name)]: 'x' }), 'M_INVALID_PARAM', name)
    }
    const long = `a.${'b'.repeat(254)}`
    assert.equal(await put(long, { [long]: 1 }), 'M_KEY_TOO_LARGE')
    assert.equal(await put(long.slice(0, 255), { [long.slice(0, 255)]: 1 }), undefined)
    assert.equal(await put('displayname', {}), 'M_MISSING_PARAM')
    assert.equal(await put('constructor.name', { displayname: 'x' }), 'M_MISSING_PARAM')
    assert.equal(await put('displayname', { displayname: null }), 'M_BAD_JSON')
    assert.equal(await put('displayname', { displayname: 'x'.repeat(257) }), 'M_INVALID_PARAM')
    assert.equal(await put('displayname', ['displayname']), 'M_BAD_JSON')
    assert.equal(await put('displayname', undefined), 'M_BAD_JSON')
  })

  test('a profile stays below 64 KiB', async () => {
    const { ask, user } = await accountsOn(await database.open())
    const { userId, token } = await user('alice')
    const put = (name: string, length: number) =>
      ask('PUT', `${BASE}/${userId}/${name}`, { [name]: 'x'.repeat(length) }, token)
    await ask('DELETE', `${BASE}/${userId}/displayname`, undefined, token)
    // {"org.a":"…"} is 12 bytes and the value.
    assert.equal((await put('org.a', 65_536 - 12)).body.errcode, 'M_PROFILE_TOO_LARGE')
    assert.equal((await put('org.a', 65_535 - 12)).status, 200)
    assert.equal((await put('org.b', 1)).body.errcode, 'M_PROFILE_TOO_LARGE')
    assert.equal((await put('org.a', 10)).status, 200)
    assert.equal((await put('org.b', 1)).status, 200)
  })

  test('users of other servers are asked for there', async () => {
    const store = await database.open()
    const asked: string[] = []
    const { ask, user } = await accountsOn(store, {
      remoteProfile: async (userId) => {
        asked.push(userId)
        return userId === '@bob:remote.org' ? new Map([['displayname', 'Bob']]) : undefined
      },
    })
    const { userId } = await user('alice')
    assert.deepEqual((await ask('GET', `${BASE}/@bob:remote.org`)).body, { displayname: 'Bob' })
    assert.deepEqual((await ask('GET', `${BASE}/@bob:remote.org/displayname`)).body, { displayname: 'Bob' })
    assert.equal((await ask('GET', `${BASE}/@eve:remote.org`)).body.errcode, 'M_NOT_FOUND')
    assert.equal((await ask('GET', `${BASE}/${userId}`)).status, 200)
    assert.equal((await ask('GET', `${BASE}/@nobody:example.org`)).body.errcode, 'M_NOT_FOUND')
    assert.equal((await ask('GET', `${BASE}/alice`)).body.errcode, 'M_INVALID_PARAM')
    assert.deepEqual(asked, ['@bob:remote.org', '@bob:remote.org', '@eve:remote.org'])
    const without = await accountsOn(store)
    assert.equal((await without.ask('GET', `${BASE}/@bob:remote.org`)).status, 404)
  })
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachDatabase, type TestDatabase } from '../../../test/support/databases.ts'
import { promote } from '../../../test/support/promote.ts'
import { createRoom, roomPath } from '../../../test/support/room-client.ts'
import type { ClientAnswer, TestClient } from '../../../test/support/test-client.ts'
import { testNetwork } from '../../../test/support/test-network.ts'

const codes = ({ status, body }: ClientAnswer) => [status, body.errcode]
const LOCKED = [401, 'M_USER_LOCKED']
const SUSPENDED = [403, 'M_USER_SUSPENDED']

async function people(database: TestDatabase) {
  const { servers } = await testNetwork(['hs1'], { database, realRooms: true })
  const { register, homeserver, ask } = servers.hs1
  const admin = await register('root')
  await promote(homeserver, admin.userId)
  const moderate = (what: 'lock' | 'suspend', userId: string, on: boolean, by: TestClient = admin) =>
    ask({
      method: 'PUT',
      path: `/_matrix/client/v1/admin/${what}/${encodeURIComponent(userId)}`,
      body: { [what === 'lock' ? 'locked' : 'suspended']: on },
      token: by.accessToken,
    })
  const isModerated = (what: 'lock' | 'suspend', userId: string, by: TestClient = admin) =>
    ask({
      method: 'GET',
      path: `/_matrix/client/v1/admin/${what}/${encodeURIComponent(userId)}`,
      token: by.accessToken,
    })
  return { admin, alice: await register('alice'), bob: await register('bob'), moderate, isModerated, ask }
}

forEachDatabase((database) => {
  test('who may moderate whom', async () => {
    const { admin, alice, bob, moderate, isModerated } = await people(database)
    for (const what of ['lock', 'suspend'] as const) {
      const field = what === 'lock' ? 'locked' : 'suspended'
      assert.deepEqual(codes(await moderate(what, bob.userId, true, alice)), [403, 'M_FORBIDDEN'])
      assert.deepEqual(codes(await isModerated(what, '@nobody:hs1', alice)), [403, 'M_FORBIDDEN'])
      assert.deepEqual(codes(await moderate(what, '@nobody:hs1', true)), [404, 'M_NOT_FOUND'])
      assert.deepEqual(codes(await moderate(what, '@far:away.example', true)), [400, 'M_INVALID_PARAM'])
      assert.deepEqual(codes(await moderate(what, admin.userId, true)), [403, 'M_FORBIDDEN'])
      assert.deepEqual((await isModerated(what, bob.userId)).body, { [field]: false })
      assert.deepEqual((await moderate(what, bob.userId, true)).body, { [field]: true })
      assert.deepEqual((await isModerated(what, bob.userId)).body, { [field]: true })
    }
    const { capabilities } = (await admin.request('GET', '/capabilities')).body
    assert.deepEqual(capabilities['m.account_moderation'], { suspend: true, lock: true })
    assert.equal((await alice.request('GET', '/capabilities')).body.capabilities['m.account_moderation'], undefined)
  })

  test('a locked account can do nothing but log out, and keeps its sessions', async () => {
    const { alice, moderate, ask } = await people(database)
    const password = { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'alice' } }
    const logIn = (fields: object) =>
      ask({ method: 'POST', path: '/_matrix/client/v3/login', body: { ...password, ...fields } })
    const renewable = (await logIn({ password: 'a password for tests', refresh_token: true })).body
    await moderate('lock', alice.userId, true)
    const answer = await alice.request('GET', '/account/whoami')
    assert.deepEqual([...codes(answer), answer.body.soft_logout], [...LOCKED, true])
    assert.deepEqual(codes(await alice.request('GET', '/sync')), LOCKED)
    assert.deepEqual(codes(await logIn({ password: 'a password for tests' })), LOCKED)
    assert.deepEqual(codes(await logIn({ password: 'another' })), [403, 'M_FORBIDDEN'])
    const refresh = { method: 'POST' as const, path: '/_matrix/client/v3/refresh' }
    assert.deepEqual(codes(await ask({ ...refresh, body: { refresh_token: renewable.refresh_token } })), LOCKED)
    await moderate('lock', alice.userId, false)
    assert.equal((await alice.request('GET', '/account/whoami')).status, 200)
    assert.equal((await ask({ ...refresh, body: { refresh_token: renewable.refresh_token } })).status, 200)
    await moderate('lock', alice.userId, true)
    assert.equal((await alice.request('POST', '/logout', {})).status, 200)
    assert.deepEqual(codes(await alice.request('GET', '/account/whoami')), [401, 'M_UNKNOWN_TOKEN'])
  })

  test('a suspended account reads, leaves and takes back its own words, and does nothing else that others see', async () => {
    const { alice, bob, moderate } = await people(database)
    const room = await createRoom(bob, { preset: 'public_chat', power_level_content_override: { redact: 0 } })
    const other = await createRoom(bob, { preset: 'public_chat' })
    const say = (client: TestClient, txnId: string) =>
      client.request('PUT', roomPath(room, 'send', 'm.room.message', txnId), { msgtype: 'm.text', body: 'hello' })
    await alice.request('POST', roomPath(room, 'join'), {})
    const own = (await say(alice, 'a')).body.event_id
    const theirs = (await say(bob, 'b')).body.event_id
    await moderate('suspend', alice.userId, true)

    const name = { displayname: 'Somebody' }
    for (const [method, path, body] of [
      ['PUT', roomPath(room, 'send', 'm.room.message', 'c'), { msgtype: 'm.text', body: 'hello' }],
      ['PUT', roomPath(room, 'state', 'm.room.topic', ''), { topic: 'mine' }],
      ['PUT', roomPath(room, 'redact', theirs, 'd'), {}],
      ['POST', roomPath(room, 'invite'), { user_id: '@far:away.example' }],
      ['POST', roomPath(room, 'kick'), { user_id: bob.userId }],
      ['POST', roomPath(other, 'join'), {}],
      ['POST', `/join/${encodeURIComponent(other)}`, {}],
      ['POST', `/knock/${encodeURIComponent(other)}`, {}],
      ['POST', '/createRoom', {}],
      ['POST', roomPath(room, 'upgrade'), { new_version: '11' }],
      ['PUT', `/profile/${encodeURIComponent(alice.userId)}/displayname`, name],
      ['DELETE', `/profile/${encodeURIComponent(alice.userId)}/displayname`, undefined],
    ] as const) {
      assert.deepEqual(codes(await alice.request(method, path, body)), SUSPENDED, `${method} ${path}`)
    }
    assert.equal((await alice.request('PUT', roomPath(room, 'redact', own, 'e'), {})).status, 200)
    assert.equal((await alice.request('GET', `${roomPath(room, 'messages')}?dir=b`)).status, 200)
    assert.ok((await alice.sync()).rooms.join[room])
    assert.equal((await alice.request('POST', roomPath(room, 'leave'), {})).status, 200)
    await moderate('suspend', alice.userId, false)
    assert.equal((await alice.request('POST', roomPath(room, 'join'), {})).status, 200)
  })
})

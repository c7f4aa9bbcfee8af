import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { forEachDatabase, type TestDatabase } from '../support/databases.ts'
import { aliasPath, createRoom, roomPath } from '../support/room-client.ts'
import type { TestClient } from '../support/test-client.ts'
import { testNetwork } from '../support/test-network.ts'

async function twoServers(database: TestDatabase) {
  const { servers, ...rest } = await testNetwork(['hs1', 'hs2'], { database, realRooms: true })
  const [alice, bob] = [await servers.hs1.register('alice'), await servers.hs2.register('bob')]
  return { ...rest, servers, alice, bob }
}

function stateOf(client: TestClient, roomId: string) {
  return async (type: string, stateKey = '') =>
    (await client.request('GET', roomPath(roomId, 'state', type, stateKey))).body
}

function put(client: TestClient, roomId: string) {
  return async (type: string, content: object, stateKey = '') => {
    const answer = await client.request('PUT', roomPath(roomId, 'state', type, stateKey), content)
    assert.equal(answer.status, 200, `${type}: ${JSON.stringify(answer.body)}`)
  }
}

async function upgrade(client: TestClient, roomId: string, version: string, more: object = {}): Promise<string> {
  const body = { new_version: version, ...more }
  const answer = await client.request('POST', roomPath(roomId, 'upgrade'), body)
  assert.equal(answer.status, 200, JSON.stringify(answer.body))
  return answer.body.replacement_room
}

const STATE = {
  'm.room.name': { name: 'Name' },
  'm.room.topic': { topic: 'Topic' },
  'm.room.avatar': { url: 'mxc://hs1/avatar' },
  'm.room.join_rules': { join_rule: 'public' },
  'm.room.guest_access': { guest_access: 'forbidden' },
  'm.room.history_visibility': { history_visibility: 'joined' },
  'm.room.encryption': { algorithm: 'm.megolm.v1.aes-sha2' },
  'm.room.server_acl': { allow: ['*'], deny: ['evil.example'] },
}

forEachDatabase((database) => {
  describe('upgrading a room', () => {
    for (const [from, to] of [
      ['1', '12'],
      ['11', '2'],
      ['12', '11'],
      ['12', '12'],
    ] as const) {
      test(`from version ${from} to ${to}: each room leads to the other, and the new one is like the old`, async () => {
        const { alice } = await twoServers(database)
        const old = await createRoom(alice, { room_version: from, creation_content: { 'm.federate': false } })
        const change = put(alice, old)
        for (const [type, content] of Object.entries(STATE)) await change(type, content)
        await change('m.room.member', { membership: 'ban', reason: 'spam' }, '@spam:evil.example')
        await change('org.example.other', { stays: 'here' })
        const created = await upgrade(alice, old, to)
        assert.notEqual(created, old)

        const [before, after] = [stateOf(alice, old), stateOf(alice, created)]
        const create = await after('m.room.create')
        assert.equal(create.room_version, to)
        assert.equal(create['m.federate'], false)
        assert.equal(create.predecessor.room_id, old)
        assert.equal(typeof create.predecessor.event_id, to === '12' ? 'undefined' : 'string')
        assert.equal((await before('m.room.tombstone')).replacement_room, created)
        for (const [type, content] of Object.entries(STATE)) assert.deepEqual(await after(type), content, type)
        assert.deepEqual(await after('m.room.member', '@spam:evil.example'), { membership: 'ban', reason: 'spam' })
        assert.equal((await after('org.example.other')).errcode, 'M_NOT_FOUND')
        const levels = await after('m.room.power_levels')
        assert.deepEqual(levels.users, to === '12' ? {} : { [alice.userId]: from === '12' ? 150 : 100 })
        const closed = await before('m.room.power_levels')
        assert.deepEqual([closed.events_default, closed.invite], [50, 50])
        assert.deepEqual([levels.events_default, levels.invite], [0, 0])
      })
    }

    test('a moderator who may do it is none more than that afterwards', async () => {
      const { alice, servers } = await twoServers(database)
      const carol = await servers.hs1.register('carol')
      const old = await createRoom(alice, { room_version: '11', preset: 'public_chat' })
      assert.equal((await carol.request('POST', roomPath(old, 'join'), {})).status, 200)
      const levels = await stateOf(alice, old)('m.room.power_levels')
      levels.users[carol.userId] = 50
      levels.events['m.room.tombstone'] = 50
      await put(alice, old)('m.room.power_levels', levels)
      const created = await upgrade(carol, old, '11')
      assert.deepEqual(await stateOf(carol, created)('m.room.power_levels'), levels)
      assert.deepEqual(await stateOf(carol, old)('m.room.power_levels'), levels)
    })

    test('aliases and the place in the directory move along', async () => {
      const { alice } = await twoServers(database)
      const old = await createRoom(alice, { room_version: '11', visibility: 'public', room_alias_name: 'first' })
      await alice.request('PUT', aliasPath('#second:hs1'), { room_id: old })
      const canonical = { alias: '#first:hs1', alt_aliases: ['#second:hs1'] }
      await put(alice, old)('m.room.canonical_alias', canonical)
      const created = await upgrade(alice, old, '12')
      assert.deepEqual(await stateOf(alice, old)('m.room.canonical_alias'), {})
      assert.deepEqual(await stateOf(alice, created)('m.room.canonical_alias'), canonical)
      for (const alias of ['#first:hs1', '#second:hs1']) {
        assert.equal((await alice.request('GET', aliasPath(alias))).body.room_id, created)
      }
      const { body } = await alice.request('GET', '/publicRooms')
      assert.deepEqual(
        body.chunk.map((room: { room_id: string }) => room.room_id),
        [created],
      )
    })

    test('whoever comes along brings their own settings, from another server too', async () => {
      const { alice, bob, servers } = await twoServers(database)
      const carol = await servers.hs1.register('carol')
      const old = await createRoom(alice, { room_version: '11', preset: 'public_chat' })
      const everybody = [alice, bob, carol]
      const join = async (client: TestClient, roomId: string) => {
        const answer = await client.request('POST', `/join/${encodeURIComponent(roomId)}?via=hs1`, {})
        assert.equal(answer.status, 200, JSON.stringify(answer.body))
      }
      for (const client of [bob, carol]) await join(client, old)
      await bob.request('PUT', aliasPath('#far:hs2'), { room_id: old })
      for (const client of everybody) {
        const own = `/user/${encodeURIComponent(client.userId)}`
        await client.request('PUT', `${own}/rooms/${encodeURIComponent(old)}/tags/m.favourite`, { order: 0.5 })
        await client.request('PUT', `${own}/account_data/m.direct`, { '@friend:hs1': [old], '@other:hs1': ['!x:hs1'] })
        await client.request('PUT', `/pushrules/global/room/${encodeURIComponent(old)}`, { actions: ['notify'] })
        await client.request('PUT', '/pushrules/global/override/quiet', {
          actions: [],
          conditions: [{ kind: 'event_match', key: 'room_id', pattern: old }],
        })
      }
      const created = await upgrade(alice, old, '12')
      for (const client of [bob, carol]) await join(client, created)
      for (const client of everybody) {
        const own = `/user/${encodeURIComponent(client.userId)}`
        const tags = await client.request('GET', `${own}/rooms/${encodeURIComponent(created)}/tags`)
        assert.deepEqual(tags.body, { tags: { 'm.favourite': { order: 0.5 } } }, client.userId)
        const direct = await client.request('GET', `${own}/account_data/m.direct`)
        assert.deepEqual(direct.body, { '@friend:hs1': [old, created], '@other:hs1': ['!x:hs1'] })
        const rules = (await client.request('GET', '/pushrules/')).body.global
        assert.deepEqual(
          rules.room.map((rule: { rule_id: string }) => rule.rule_id),
          [created, old],
        )
        const patterns = rules.override.flatMap((rule: { conditions?: { pattern?: string }[] }) =>
          (rule.conditions ?? []).map((one) => one.pattern),
        )
        assert.ok(patterns.includes(old) && patterns.includes(created))
      }
      assert.equal((await bob.request('GET', aliasPath('#far:hs2'))).body.room_id, created)
    })

    test('nobody takes over what is of another room by calling it the predecessor', async () => {
      const { alice, servers } = await twoServers(database)
      const mallory = await servers.hs1.register('mallory')
      const victim = await createRoom(alice, { visibility: 'public', room_alias_name: 'victim' })
      await createRoom(mallory, { creation_content: { predecessor: { room_id: victim, event_id: '$x' } } })
      assert.equal((await alice.request('GET', aliasPath('#victim:hs1'))).body.room_id, victim)
      assert.equal((await alice.request('GET', '/publicRooms')).body.chunk[0].room_id, victim)
    })

    test('creators are named anew in version 12', async () => {
      const { alice } = await twoServers(database)
      const mine = await createRoom(alice, { room_version: '11' })
      const levels = await stateOf(alice, mine)('m.room.power_levels')
      levels.users['@dora:hs1'] = 50
      await put(alice, mine)('m.room.power_levels', levels)
      const creators = ['@dora:hs1', alice.userId, '@dora:hs1']
      const created = await upgrade(alice, mine, '12', { additional_creators: creators })
      assert.deepEqual((await stateOf(alice, created)('m.room.create')).additional_creators, ['@dora:hs1'])
      assert.deepEqual((await stateOf(alice, created)('m.room.power_levels')).users, {})
    })

    test('what cannot be done', async () => {
      const { alice, servers } = await twoServers(database)
      const carol = await servers.hs1.register('carol')
      const roomId = await createRoom(alice, { preset: 'public_chat' })
      const ask = async (client: TestClient, room: string, body: object) => {
        const answer = await client.request('POST', roomPath(room, 'upgrade'), body)
        return [answer.status, answer.body.errcode]
      }
      assert.deepEqual(await ask(alice, roomId, { new_version: 'x' }), [400, 'M_UNSUPPORTED_ROOM_VERSION'])
      assert.deepEqual(await ask(alice, roomId, {}), [400, 'M_BAD_JSON'])
      const wrong = { new_version: '12', additional_creators: ['dora'] }
      assert.deepEqual(await ask(alice, roomId, wrong), [400, 'M_BAD_JSON'])
      assert.deepEqual(await ask(carol, roomId, { new_version: '12' }), [403, 'M_FORBIDDEN'])
      assert.deepEqual(await ask(alice, '!none:hs1', { new_version: '12' }), [404, 'M_NOT_FOUND'])
      const self = await alice.request('PUT', roomPath(roomId, 'state', 'm.room.tombstone'), {
        body: 'gone',
        replacement_room: roomId,
      })
      assert.equal(self.status, 400)
    })
  })
})

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { forEachDatabase, type TestDatabase } from '../support/databases.ts'
import { aliasPath, createRoom, roomPath } from '../support/room-client.ts'
import { testNetwork } from '../support/test-network.ts'

async function aliceInRoom(database: TestDatabase) {
  const { servers, ...rest } = await testNetwork(['hs1', 'hs2'], { database, realRooms: true })
  const alice = await servers.hs1.register('alice')
  const roomId = await createRoom(alice, { preset: 'public_chat', room_version: '11', room_alias_name: 'own' })
  const put = async (type: string, content: object) => {
    const { status, body } = await alice.request('PUT', roomPath(roomId, 'state', type), content)
    return status === 200 ? 200 : [status, body.errcode]
  }
  return { ...rest, servers, alice, roomId, put }
}

forEachDatabase((database) => {
  describe('state that clients send', () => {
    test('a canonical alias has to be one of this room, here or at its server', async () => {
      const { servers, alice, roomId, put, network } = await aliceInRoom(database)
      const bob = await servers.hs2.register('bob')
      const other = await createRoom(alice, { room_alias_name: 'other' })
      await createRoom(bob, { room_alias_name: 'far' })
      const send = (content: object) => put('m.room.canonical_alias', content)
      assert.equal(await send({ alias: '#own:hs1', alt_aliases: ['#own:hs1'] }), 200)
      assert.deepEqual(await send({ alias: '#none:hs1' }), [400, 'M_BAD_ALIAS'])
      assert.deepEqual(await send({ alt_aliases: ['#other:hs1'] }), [400, 'M_BAD_ALIAS'])
      assert.deepEqual(await send({ alt_aliases: ['#far:hs2'] }), [400, 'M_BAD_ALIAS'])
      for (const content of [{ alias: '%own:hs1' }, { alias: 5 }, { alt_aliases: 'own' }, { alt_aliases: [null] }]) {
        assert.deepEqual(await send(content), [400, 'M_INVALID_PARAM'])
      }
      // What stands there already is not looked at again.
      assert.equal((await alice.request('DELETE', aliasPath('#other:hs1'))).status, 200)
      assert.equal((await alice.request('PUT', aliasPath('#more:hs1'), { room_id: roomId })).status, 200)
      network.partition(['hs1'], ['hs2'])
      assert.equal(await send({ alias: '#own:hs1', alt_aliases: ['#more:hs1'] }), 200)
      assert.deepEqual(await send({ alt_aliases: ['#gone:hs2'] }), [400, 'M_BAD_ALIAS'])
      assert.equal(await send({ alias: null }), 200)
      assert.ok(other)
    })

    test('an alias that is removed leaves the canonical aliases', async () => {
      const { alice, roomId, put } = await aliceInRoom(database)
      await alice.request('PUT', aliasPath('#more:hs1'), { room_id: roomId })
      const both = { alias: '#own:hs1', alt_aliases: ['#more:hs1'] }
      assert.equal(await put('m.room.canonical_alias', both), 200)
      assert.equal((await alice.request('DELETE', aliasPath('#more:hs1'))).status, 200)
      // Did it stand there still, it would not be looked at.
      assert.deepEqual(await put('m.room.canonical_alias', both), [400, 'M_BAD_ALIAS'])
    })

    test('nobody shuts their own server out', async () => {
      const { put } = await aliceInRoom(database)
      const send = (content: object) => put('m.room.server_acl', content)
      assert.deepEqual(await send({}), [400, 'M_BAD_JSON'])
      assert.deepEqual(await send({ allow: ['*'], deny: ['hs*'] }), [400, 'M_BAD_JSON'])
      assert.equal(await send({ allow: ['*'], deny: ['evil.example'] }), 200)
    })

    test('creators with all power are given no level, and nothing is created twice', async () => {
      const { alice, put } = await aliceInRoom(database)
      assert.deepEqual(await put('m.room.create', { more: 1 }), [400, 'M_INVALID_PARAM'])
      const roomId = await createRoom(alice, { room_version: '12' })
      const levels = { users: { [alice.userId]: 100 } }
      const answer = await alice.request('PUT', roomPath(roomId, 'state', 'm.room.power_levels'), levels)
      assert.deepEqual([answer.status, answer.body.errcode], [400, 'M_BAD_JSON'])
      for (const creators of ['@bob:hs2', ['nobody']]) {
        const wish = { room_version: '12', creation_content: { additional_creators: creators } }
        const { status, body } = await alice.request('POST', '/createRoom', wish)
        assert.deepEqual([status, body.errcode], [400, 'M_BAD_JSON'])
      }
    })

    test('power levels are levels', async () => {
      const { put, alice } = await aliceInRoom(database)
      const good = { users: { [alice.userId]: 100 } }
      const send = (content: object) => put('m.room.power_levels', { ...good, ...content })
      for (const wrong of [{ users: { nobody: 5 } }, { kick: 'fifty' }, { events: [] }, { users_default: 1.5 }]) {
        assert.deepEqual(await send(wrong), [400, 'M_BAD_JSON'], JSON.stringify(wrong))
      }
      assert.equal(await send({ kick: 60 }), 200)
    })
  })
})

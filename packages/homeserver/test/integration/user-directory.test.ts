import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { forEachDatabase, type TestDatabase } from '../support/databases.ts'
import { createRoom, roomPath } from '../support/room-client.ts'
import type { TestClient } from '../support/test-client.ts'
import { testNetwork } from '../support/test-network.ts'

async function threeUsers(database: TestDatabase) {
  const { servers } = await testNetwork(['hs1'], { database, realRooms: true })
  const { hs1 } = servers
  const [alice, bob, carol] = [await hs1.register('alice'), await hs1.register('bob'), await hs1.register('carol')]
  const change = async (client: TestClient, roomId: string, what: 'join' | 'leave') => {
    const answer = await client.request('POST', roomPath(roomId, what), {})
    assert.equal(answer.status, 200, JSON.stringify(answer.body))
  }
  const rename = (client: TestClient, displayname: string) =>
    client.request('PUT', `/profile/${encodeURIComponent(client.userId)}/displayname`, { displayname })
  return { alice, bob, carol, change, rename }
}

async function search(client: TestClient, term: string, limit?: number) {
  const body = { search_term: term, ...(limit === undefined ? {} : { limit }) }
  const answer = await client.request('POST', '/user_directory/search', body)
  assert.equal(answer.status, 200, JSON.stringify(answer.body))
  return answer.body
}

const idsFor = async (client: TestClient, term: string): Promise<string[]> =>
  (await search(client, term)).results.map((user: { user_id: string }) => user.user_id)

forEachDatabase((database) => {
  describe('the user directory', () => {
    test('finds who is in a room with the seeker, by words of name or ID', async () => {
      const { alice, bob, carol, change, rename } = await threeUsers(database)
      await rename(bob, 'Böb "the" Bûilder')
      const roomId = await createRoom(alice, { preset: 'public_chat' })
      await alice.request('PUT', roomPath(roomId, 'state', 'm.room.join_rules'), { join_rule: 'invite' })
      assert.deepEqual(await idsFor(alice, 'bob'), [])
      await alice.request('PUT', roomPath(roomId, 'state', 'm.room.join_rules'), { join_rule: 'public' })
      await change(bob, roomId, 'join')
      await alice.request('PUT', roomPath(roomId, 'state', 'm.room.join_rules'), { join_rule: 'invite' })
      for (const term of ['bob', '@bob:hs1', 'BÖB', 'builder böb'.replace('u', 'û'), '"the"', 'OB:H']) {
        assert.deepEqual(await idsFor(alice, term), [bob.userId], term)
      }
      const { results, limited } = await search(alice, 'bob')
      assert.deepEqual(results, [{ user_id: bob.userId, display_name: 'Böb "the" Bûilder' }])
      assert.equal(limited, false)
      for (const term of ['b%b', 'b_b', '\\', 'bob zebra', ' ']) assert.deepEqual(await idsFor(alice, term), [], term)
      assert.deepEqual(await idsFor(carol, 'bob'), [])
      await change(bob, roomId, 'leave')
      assert.deepEqual(await idsFor(alice, 'bob'), [])
    })

    test('finds who is in a room that anybody may join or read', async () => {
      const { alice, carol } = await threeUsers(database)
      const roomId = await createRoom(alice)
      const set = (type: string, content: object) => alice.request('PUT', roomPath(roomId, 'state', type), content)
      assert.deepEqual(await idsFor(carol, 'alice'), [])
      await set('m.room.join_rules', { join_rule: 'public' })
      assert.deepEqual(await idsFor(carol, 'alice'), [alice.userId])
      await set('m.room.history_visibility', { history_visibility: 'world_readable' })
      await set('m.room.join_rules', { join_rule: 'invite' })
      assert.deepEqual(await idsFor(carol, 'alice'), [alice.userId])
      await set('m.room.history_visibility', { history_visibility: 'shared' })
      assert.deepEqual(await idsFor(carol, 'alice'), [])
    })

    test('shows the best first, and no more than is asked for', async () => {
      const { alice, bob, carol, change, rename } = await threeUsers(database)
      const roomId = await createRoom(alice, { preset: 'public_chat' })
      for (const client of [bob, carol]) await change(client, roomId, 'join')
      await rename(bob, 'Likes Alice')
      await rename(carol, 'Alice Other')
      assert.deepEqual(await idsFor(bob, 'alice'), [alice.userId, carol.userId, bob.userId])
      const { results, limited } = await search(bob, 'alice', 1)
      assert.deepEqual([results.length, limited], [1, true])
    })
  })

  describe('mutual rooms', () => {
    test('are those that both are in', async () => {
      const { alice, bob, change } = await threeUsers(database)
      const mutual = (query: string) => alice.request('GET', `/_matrix/client/v1/mutual_rooms${query}`)
      const query = `?user_id=${encodeURIComponent(bob.userId)}`
      assert.deepEqual((await mutual(query)).body, { joined: [], count: 0 })
      const rooms = [await createRoom(alice, { preset: 'public_chat' }), await createRoom(alice, { name: 'other' })]
      await change(bob, rooms[0]!, 'join')
      assert.deepEqual((await mutual(query)).body, { joined: [rooms[0]], count: 1 })
      assert.deepEqual((await mutual('?user_id=@nobody:hs1')).body, { joined: [], count: 0 })
      for (const wrong of ['', '?user_id=bob', '?user_id=@Bob:hs1', '?user_id=@alice:hs1', `${query}&from=%00`]) {
        assert.equal((await mutual(wrong)).body.errcode, 'M_INVALID_PARAM', wrong)
      }
    })
  })
})

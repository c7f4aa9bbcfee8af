import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { forEachDatabase, type TestDatabase } from '../support/databases.ts'
import { createRoom, roomPath } from '../support/room-client.ts'
import type { TestClient } from '../support/test-client.ts'
import { testNetwork } from '../support/test-network.ts'

async function twoServers(database: TestDatabase) {
  const { servers, ...rest } = await testNetwork(['hs1', 'hs2'], { database, realRooms: true })
  const [alice, bob] = [await servers.hs1.register('alice'), await servers.hs2.register('bob')]
  return { ...rest, servers, alice, bob }
}

const publicRoom = (client: TestClient, wish: object = {}) => createRoom(client, { preset: 'public_chat', ...wish })
const publicSpace = (client: TestClient, wish: object = {}) =>
  publicRoom(client, { creation_content: { type: 'm.space' }, ...wish })

async function addChild(client: TestClient, space: string, child: string, content: object = {}) {
  const server = client.userId.slice(client.userId.indexOf(':') + 1)
  const path = roomPath(space, 'state', 'm.space.child', child)
  const answer = await client.request('PUT', path, { via: [server], ...content })
  assert.equal(answer.status, 200, JSON.stringify(answer.body))
}

function hierarchy(client: TestClient, space: string, query = '') {
  return client.request('GET', `/_matrix/client/v1/rooms/${encodeURIComponent(space)}/hierarchy${query}`)
}

async function roomsIn(client: TestClient, space: string, query = ''): Promise<string[]> {
  const { status, body } = await hierarchy(client, space, query)
  assert.equal(status, 200, JSON.stringify(body))
  return body.rooms.map((room: { room_id: string }) => room.room_id)
}

/** A space with a room, a space within that leads back, and a room that nobody else may see. */
async function smallSpace(client: TestClient) {
  const space = await publicSpace(client, { name: 'Space' })
  const inner = await publicSpace(client)
  const [first, deep] = [await publicRoom(client, { name: 'First' }), await publicRoom(client)]
  const secret = await createRoom(client, { name: 'Secret' })
  await addChild(client, space, first, { order: 'a', suggested: true })
  await addChild(client, space, inner, { order: 'b' })
  await addChild(client, space, secret, { order: 'c' })
  await addChild(client, inner, space)
  await addChild(client, inner, deep)
  return { space, inner, first, deep, secret }
}

forEachDatabase((database) => {
  describe('spaces', () => {
    test('are walked depth first, circles and all, and show what their visitor may see', async () => {
      const { servers, alice } = await twoServers(database)
      const { space, inner, first, deep, secret } = await smallSpace(alice)
      assert.deepEqual(await roomsIn(alice, space), [space, first, inner, deep, secret])
      const carol = await servers.hs1.register('carol')
      assert.deepEqual(await roomsIn(carol, space), [space, first, inner, deep])
      assert.deepEqual(await roomsIn(alice, space, '?max_depth=1'), [space, first, inner, secret])
      assert.deepEqual(await roomsIn(alice, space, '?max_depth=0'), [space])
      assert.deepEqual(await roomsIn(alice, space, '?suggested_only=true'), [space, first])
      const { body } = await hierarchy(alice, space, '?max_depth=0')
      const [root] = body.rooms
      assert.equal(root.name, 'Space')
      assert.equal(root.room_type, 'm.space')
      assert.deepEqual(Object.keys(root.children_state[0]).sort(), [
        'content',
        'origin_server_ts',
        'sender',
        'state_key',
        'type',
      ])
    })

    test('come in pages, which belong to one walk', async () => {
      const { alice } = await twoServers(database)
      const { space } = await smallSpace(alice)
      const all = await roomsIn(alice, space)
      const pages: string[] = []
      let query = '?limit=2'
      for (let n = 0; n < 10 && query !== ''; n++) {
        const { body } = await hierarchy(alice, space, query)
        pages.push(...body.rooms.map((room: { room_id: string }) => room.room_id))
        query = body.next_batch ? `?limit=2&from=${body.next_batch}` : ''
      }
      assert.deepEqual(pages, all)
      const { body } = await hierarchy(alice, space, '?limit=2')
      const other = await hierarchy(alice, space, `?from=${body.next_batch}&suggested_only=true`)
      assert.deepEqual([other.status, other.body.errcode], [400, 'M_INVALID_PARAM'])
      for (const wrong of ['?limit=0', '?limit=x', '?max_depth=-1', '?from=x', '?suggested_only=maybe']) {
        assert.equal((await hierarchy(alice, space, wrong)).body.errcode, 'M_INVALID_PARAM', wrong)
      }
    })

    test('a room that is removed is a child no more', async () => {
      const { alice } = await twoServers(database)
      const [space, room] = [await publicSpace(alice), await publicRoom(alice)]
      await addChild(alice, space, room)
      assert.deepEqual(await roomsIn(alice, space), [space, room])
      await alice.request('PUT', roomPath(space, 'state', 'm.space.child', room), {})
      assert.deepEqual(await roomsIn(alice, space), [space])
    })

    test('reach to other servers, which tell of what we could get into', async () => {
      const { alice, bob, network } = await twoServers(database)
      const far = await smallSpace(bob)
      const space = await publicSpace(alice)
      await addChild(alice, space, far.space, { via: ['hs3', 'hs2'] })
      const expected = [space, far.space, far.first, far.inner, far.deep]
      assert.deepEqual(await roomsIn(alice, space), expected)
      const asked = network.requests({ to: 'hs2' }).length
      assert.deepEqual(await roomsIn(alice, space), expected)
      assert.equal(network.requests({ to: 'hs2' }).length, asked, 'answers are kept for a while')
    })

    test('that nobody may see are not there', async () => {
      const { alice, bob, servers } = await twoServers(database)
      const secret = await createRoom(alice, { creation_content: { type: 'm.space' }, room_version: '11' })
      const carol = await servers.hs1.register('carol')
      for (const client of [carol, bob]) {
        const { status, body } = await hierarchy(client, secret)
        assert.deepEqual([status, body.errcode], [403, 'M_FORBIDDEN'])
      }
    })

    test('whoever is in the space sees the rooms that its members may join', async () => {
      const { alice, servers } = await twoServers(database)
      const space = await publicSpace(alice)
      const restricted = await createRoom(alice, {
        initial_state: [
          {
            type: 'm.room.join_rules',
            content: { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: space }] },
          },
        ],
      })
      await addChild(alice, space, restricted)
      const carol = await servers.hs1.register('carol')
      assert.deepEqual(await roomsIn(carol, space), [space])
      const joined = await carol.request('POST', roomPath(space, 'join'), {})
      assert.equal(joined.status, 200)
      assert.deepEqual(await roomsIn(carol, space), [space, restricted])
    })
  })

  describe('summaries of rooms', () => {
    const summary = (room: string, query = '') => `/_matrix/client/v1/room_summary/${encodeURIComponent(room)}${query}`

    test('tell what a room is like, here, elsewhere, and to whoever has not logged in', async () => {
      const { alice, bob, servers } = await twoServers(database)
      const roomId = await publicRoom(alice, {
        name: 'Cheese',
        room_alias_name: 'cheese',
        room_version: '12',
        initial_state: [{ type: 'm.room.encryption', content: { algorithm: 'm.megolm.v1.aes-sha2' } }],
      })
      const expected = {
        room_id: roomId,
        name: 'Cheese',
        canonical_alias: '#cheese:hs1',
        encryption: 'm.megolm.v1.aes-sha2',
        room_version: '12',
        num_joined_members: 1,
        world_readable: false,
        guest_can_join: false,
        join_rule: 'public',
      }
      const own = await alice.request('GET', summary(roomId))
      assert.deepEqual([own.status, own.body], [200, { ...expected, membership: 'join' }])
      const byAlias = await bob.request('GET', summary('#cheese:hs1'))
      assert.deepEqual([byAlias.status, byAlias.body], [200, { ...expected, membership: 'leave' }])
      const byId = await bob.request('GET', summary(roomId, '?via=hs3&via=hs1'))
      assert.equal(byId.body.name, 'Cheese')
      const open = await servers.hs1.ask({ method: 'GET', path: summary(roomId) })
      assert.deepEqual(open.body, expected)
      assert.equal((await servers.hs2.ask({ method: 'GET', path: summary('#cheese:hs1') })).status, 404)
    })

    test('not of rooms that one may not see', async () => {
      const { alice, bob, servers } = await twoServers(database)
      const secret = await createRoom(alice)
      const carol = await servers.hs1.register('carol')
      assert.equal((await carol.request('GET', summary(secret))).body.errcode, 'M_NOT_FOUND')
      assert.equal((await bob.request('GET', summary(secret, '?via=hs1'))).body.errcode, 'M_NOT_FOUND')
      assert.equal((await servers.hs1.ask({ method: 'GET', path: summary(secret) })).status, 404)
      assert.equal((await alice.request('GET', summary('cheese'))).body.errcode, 'M_INVALID_PARAM')
    })
  })
})

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { forEachDatabase, type TestDatabase } from '../support/databases.ts'
import { aliasPath, createRoom, roomPath } from '../support/room-client.ts'
import { testNetwork } from '../support/test-network.ts'

async function twoServers(database: TestDatabase) {
  const { servers, ...rest } = await testNetwork(['hs1', 'hs2'], { database, realRooms: true })
  const [alice, bob] = [await servers.hs1.register('alice'), await servers.hs2.register('bob')]
  return { ...rest, servers, alice, bob }
}

forEachDatabase((database) => {
  describe('aliases', () => {
    test('an alias leads to its room, on its own server and on another', async () => {
      const { alice, bob } = await twoServers(database)
      const roomId = await createRoom(alice, { preset: 'public_chat' })
      const alias = '#☕ & more:hs1'
      assert.equal((await bob.request('GET', aliasPath(alias))).status, 404)
      assert.equal((await alice.request('PUT', aliasPath(alias), { room_id: roomId })).status, 200)
      for (const client of [alice, bob]) {
        const { status, body } = await client.request('GET', aliasPath(alias))
        assert.deepEqual([status, body], [200, { room_id: roomId, servers: ['hs1'] }])
      }
      const again = await alice.request('PUT', aliasPath(alias), { room_id: roomId })
      assert.deepEqual([again.status, again.body.errcode], [409, 'M_UNKNOWN'])
      assert.deepEqual((await alice.request('GET', roomPath(roomId, 'aliases'))).body, { aliases: [alias] })
    })

    test('is looked up without a login, and its server being away is no sign of its absence', async () => {
      const { alice, servers, network } = await twoServers(database)
      const roomId = await createRoom(alice, { room_alias_name: 'here' })
      const lookUp = () => servers.hs2.ask({ method: 'GET', path: `/_matrix/client/v3${aliasPath('#here:hs1')}` })
      assert.equal((await lookUp()).body.room_id, roomId)
      network.partition(['hs1'], ['hs2'])
      const away = await servers.hs2.ask({ method: 'GET', path: `/_matrix/client/v3${aliasPath('#other:hs1')}` })
      assert.deepEqual([away.status, away.body.errcode], [502, 'M_UNKNOWN'])
    })

    test('belongs to who made it and to who may change the canonical alias', async () => {
      const { alice, servers } = await twoServers(database)
      const roomId = await createRoom(alice, { preset: 'public_chat', room_alias_name: 'own' })
      const carol = await servers.hs1.register('carol')
      assert.equal((await carol.request('DELETE', aliasPath('#own:hs1'))).status, 403)
      assert.equal((await carol.request('PUT', aliasPath('#more:hs1'), { room_id: roomId })).status, 403)
      assert.equal((await carol.request('GET', roomPath(roomId, 'aliases'))).status, 403)
      assert.equal((await alice.request('DELETE', aliasPath('#own:hs1'))).status, 200)
      assert.equal((await alice.request('DELETE', aliasPath('#own:hs1'))).status, 404)
      assert.equal((await alice.request('GET', aliasPath('#own:hs1'))).status, 404)
    })

    test('what is no alias, and what is of another server', async () => {
      const { alice } = await twoServers(database)
      const roomId = await createRoom(alice)
      for (const alias of ['#nothing', '%x:hs1', '#:hs1', '#x:hs 1', '#x:hs2']) {
        const { status, body } = await alice.request('PUT', aliasPath(alias), { room_id: roomId })
        assert.deepEqual([alias, status, body.errcode], [alias, 400, 'M_INVALID_PARAM'])
      }
    })
  })

  describe('the published room directory', () => {
    test('shows what is published, to anybody, and to other servers', async () => {
      const { alice, bob, servers } = await twoServers(database)
      const roomId = await createRoom(alice, {
        visibility: 'public',
        room_alias_name: 'cheese',
        name: 'Cheese',
        topic: 'Tasty',
        initial_state: [
          { type: 'm.room.history_visibility', content: { history_visibility: 'world_readable' } },
          { type: 'm.room.avatar', content: { url: 'mxc://hs1/brie' } },
        ],
      })
      const spaceId = await createRoom(alice, { creation_content: { type: 'm.space', 'm.federate': false } })
      await createRoom(alice, { name: 'Secret' })
      const entry = {
        room_id: roomId,
        name: 'Cheese',
        topic: 'Tasty',
        canonical_alias: '#cheese:hs1',
        avatar_url: 'mxc://hs1/brie',
        num_joined_members: 1,
        world_readable: true,
        guest_can_join: false,
        join_rule: 'public',
      }
      const open = await servers.hs1.ask({ method: 'GET', path: '/_matrix/client/v3/publicRooms' })
      assert.deepEqual(open.body, { chunk: [entry], total_room_count_estimate: 1 })

      const list = `/directory/list/room/${encodeURIComponent(spaceId)}`
      assert.deepEqual((await alice.request('GET', list)).body, { visibility: 'private' })
      assert.equal((await alice.request('PUT', list, {})).status, 200)
      assert.deepEqual((await alice.request('GET', list)).body, { visibility: 'public' })
      const ids = async (client: typeof alice, path: string, body?: object) => {
        const answer = await client.request(body ? 'POST' : 'GET', path, body)
        return answer.body.chunk.map((room: { room_id: string }) => room.room_id)
      }
      assert.deepEqual((await ids(alice, '/publicRooms')).sort(), [roomId, spaceId].sort())
      // No user of another server could join the other one.
      assert.deepEqual((await bob.request('GET', '/publicRooms?server=hs1')).body.chunk, [entry])
      const cheeses = { filter: { generic_search_term: 'cHEESE', room_types: [null] }, since: null }
      assert.deepEqual(await ids(bob, '/publicRooms?server=hs1', cheeses), [roomId])
      assert.deepEqual(await ids(bob, '/publicRooms?server=hs1', { filter: { generic_search_term: 'wine' } }), [])
      assert.deepEqual(await ids(alice, '/publicRooms', { filter: { room_types: ['m.space'] } }), [spaceId])
      assert.deepEqual(await ids(bob, '/publicRooms'), [])

      await alice.request('PUT', list, { visibility: 'private' })
      assert.deepEqual(await ids(alice, '/publicRooms?server=hs1'), [roomId])
    })

    test('is gone through in both directions', async () => {
      const { alice } = await twoServers(database)
      const made = new Set<string>()
      for (let n = 0; n < 7; n++) made.add(await createRoom(alice, { visibility: 'public' }))
      const forward: string[][] = []
      const backward: string[][] = []
      const page = async (since: string | undefined) => {
        const body = { limit: 3, ...(since === undefined ? {} : { since }) }
        return (await alice.request('POST', '/publicRooms', body)).body
      }
      const idsOf = (body: { chunk: { room_id: string }[] }) => body.chunk.map((room) => room.room_id)
      let body = await page(undefined)
      assert.equal(body.prev_batch, undefined)
      for (forward.push(idsOf(body)); body.next_batch; forward.push(idsOf(body))) body = await page(body.next_batch)
      while (body.prev_batch) {
        body = await page(body.prev_batch)
        backward.unshift(idsOf(body))
      }
      assert.deepEqual(
        forward.map((ids) => ids.length),
        [3, 3, 1],
      )
      assert.deepEqual(new Set(forward.flat()), made)
      assert.deepEqual(backward, forward.slice(0, 2))
    })

    test('what nobody may do, and what nobody may ask', async () => {
      const { alice, bob, servers, network } = await twoServers(database)
      const roomId = await createRoom(alice, { preset: 'public_chat' })
      const list = `/directory/list/room/${encodeURIComponent(roomId)}`
      const carol = await servers.hs1.register('carol')
      assert.equal((await carol.request('PUT', list, {})).body.errcode, 'M_FORBIDDEN')
      assert.equal((await bob.request('PUT', list, {})).body.errcode, 'M_NOT_FOUND')
      assert.equal((await alice.request('PUT', list, { visibility: 'some' })).body.errcode, 'M_INVALID_PARAM')
      assert.equal((await alice.request('GET', '/publicRooms?since=abc')).body.errcode, 'M_INVALID_PARAM')
      assert.equal((await alice.request('GET', '/publicRooms?limit=-1')).body.errcode, 'M_INVALID_PARAM')
      const path = '/_matrix/client/v3/publicRooms?server=hs2'
      assert.equal((await servers.hs1.ask({ method: 'GET', path })).status, 401)
      network.partition(['hs1'], ['hs2'])
      assert.deepEqual((await alice.request('GET', path)).body.errcode, 'M_UNKNOWN')
    })
  })
})

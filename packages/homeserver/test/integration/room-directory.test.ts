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
})

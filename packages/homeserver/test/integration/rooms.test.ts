import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ROOM_VERSIONS } from '../../src/state/room-versions.ts'
import { forEachDatabase, type TestDatabase } from '../support/databases.ts'
import { testNetwork } from '../support/test-network.ts'

async function oneServer(database: TestDatabase) {
  const { servers, ...rest } = await testNetwork(['hs1'], { database, realRooms: true })
  const alice = await servers.hs1.register('alice')
  return { alice, server: servers.hs1, ...rest }
}

forEachDatabase((database) => {
  describe('creating rooms', () => {
    for (const { id } of ROOM_VERSIONS) {
      test(`in version ${id}: a message is said once per transaction`, async () => {
        const { alice } = await oneServer(database)
        const created = await alice.request('POST', '/createRoom', {
          room_version: id,
          name: 'A room',
          preset: 'public_chat',
        })
        assert.equal(created.status, 200, JSON.stringify(created.body))
        const path = `/rooms/${encodeURIComponent(created.body.room_id)}/send/m.room.message/1`
        const said = await alice.request('PUT', path, { msgtype: 'm.text', body: 'hello' })
        assert.equal(said.status, 200, JSON.stringify(said.body))
        const again = await alice.request('PUT', path, { msgtype: 'm.text', body: 'hello' })
        assert.deepEqual(again.body, said.body)
        const redacted = await alice.request(
          'PUT',
          `/rooms/${encodeURIComponent(created.body.room_id)}/redact/${encodeURIComponent(said.body.event_id)}/2`,
          {},
        )
        assert.equal(redacted.status, 200, JSON.stringify(redacted.body))
      })
    }

    test('a transaction is forgotten after a week', async () => {
      const { alice, server, clock } = await oneServer(database)
      const { body } = await alice.request('POST', '/createRoom', { preset: 'public_chat' })
      const path = `/rooms/${encodeURIComponent(body.room_id)}/send/m.room.message/1`
      const say = async () => (await alice.request('PUT', path, { body: 'hello' })).body.event_id
      const said = await say()
      const { speaking } = server.homeserver.ctx.rooms
      await speaking.cleanUp(clock.now() + 6 * 24 * 3_600_000)
      assert.equal(await say(), said)
      await speaking.cleanUp(clock.now() + 8 * 24 * 3_600_000)
      assert.notEqual(await say(), said)
    })
  })
})

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ROOM_VERSIONS } from '../../src/state/room-versions.ts'
import { forEachDatabase, onSqlite, type TestDatabase } from '../support/databases.ts'
import { enterRoom, pdusOf } from '../support/remote-in-room.ts'
import { testNetwork } from '../support/test-network.ts'

const U = '@u:far.example'

/** Alice's public room on hs1, with a user of a scripted remote in it. */
async function roomWithRemote(database: TestDatabase, options: { version?: string; creation?: object } = {}) {
  const { version = '11', creation = {} } = options
  const network = await testNetwork(['hs1'], { database, realRooms: true })
  const { hs1 } = network.servers
  const alice = await hs1.register('alice')
  const created = await alice.request('POST', '/createRoom', {
    room_version: version,
    preset: 'public_chat',
    ...creation,
  })
  assert.equal(created.status, 200, JSON.stringify(created.body))
  const remote = network.remote('far.example')
  const roomId = created.body.room_id as string
  const room = await enterRoom(remote, hs1, roomId, U)
  const rowOf = (eventId: string) =>
    hs1.homeserver.ctx.store.db
      .selectFrom('events')
      .selectAll()
      .where('event_id', '=', eventId as never)
      .executeTakeFirst()
  const statusOf = async (eventId: string) => {
    const row = await rowOf(eventId)
    return row && (row.position === null ? 'outlier' : row.status)
  }
  const stateOf = async (type: string) =>
    (
      await hs1.homeserver.ctx.store.db
        .selectFrom('current_state')
        .select('event_id')
        .where('room_id', '=', roomId as never)
        .where('type', '=', type)
        .executeTakeFirst()
    )?.event_id
  const message = (body: string, more = {}) =>
    room.make({ type: 'm.room.message', sender: U, content: { msgtype: 'm.text', body }, ...more })
  const send = async (...events: { pdu: object }[]) => {
    const answer = await remote.sendPdus(
      'hs1',
      events.map((event) => event.pdu),
    )
    assert.equal(answer.status, 200, JSON.stringify(answer.body))
    return answer.body.pdus
  }
  return { ...network, hs1, alice, remote, room, roomId, rowOf, statusOf, stateOf, message, send }
}

onSqlite((database) => {
  describe('in every room version', () => {
    for (const { id } of ROOM_VERSIONS) {
      test(`version ${id}: a remote user comes in and speaks`, async () => {
        const { room, message, send, statusOf } = await roomWithRemote(database, { version: id })
        const said = room.add(message('hello'))
        assert.deepEqual(await send(said), { [said.eventId]: {} })
        assert.equal(await statusOf(said.eventId), 'accepted')
      })
    }
  })
})

forEachDatabase((database) => {
  test('a bad event fails none of its neighbours', async () => {
    const { room, message, send, statusOf, remote, hs1, roomId } = await roomWithRemote(database)
    const first = room.add(message('first'))
    const forged = { pdu: { ...message('forged').pdu, type: 'm.room.topic' } }
    const changed = message('said')
    const second = room.add(message('second'))
    const results = await send(
      first,
      forged,
      { pdu: { room_id: roomId } },
      { pdu: { ...changed.pdu, content: { body: 'not said' } } },
      second,
    )
    assert.deepEqual(Object.keys(results).length, 4)
    assert.deepEqual(results[first.eventId], {})
    assert.deepEqual(results[second.eventId], {})
    assert.deepEqual(results[changed.eventId], {})
    assert.equal(Object.values(results).filter((result) => 'error' in (result as object)).length, 1)
    for (const event of [first, second, changed]) assert.equal(await statusOf(event.eventId), 'accepted')
    const kept = (await pdusOf(hs1, roomId)).find((pdu) => JSON.stringify(pdu).includes('not said'))
    assert.equal(kept, undefined)
    const again = await remote.sendPdus('hs1', [first.pdu])
    assert.deepEqual(again.body.pdus, { [first.eventId]: {} })
  })
})

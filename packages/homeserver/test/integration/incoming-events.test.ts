import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ROOM_VERSIONS } from '../../src/state/room-versions.ts'
import { forEachDatabase, onSqlite } from '../support/databases.ts'
import { pdusOf, roomWithRemote } from '../support/remote-in-room.ts'

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

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RoomId, UserId } from '../../src/matrix/ids.ts'
import { forEachDatabase, type TestDatabase } from '../support/databases.ts'
import { enterRoom } from '../support/remote-in-room.ts'
import { roomPath } from '../support/room-client.ts'
import type { TestClient } from '../support/test-client.ts'
import { testNetwork } from '../support/test-network.ts'
import { testRoom } from '../support/test-room.ts'

const FAR_USER = '@u:far.example'

/** Alice's room on hs1, with bob, and a user of a scripted remote. */
async function aRoom(database: TestDatabase) {
  const network = await testNetwork(['hs1'], { database, realRooms: true })
  const { hs1 } = network.servers
  const [alice, bob] = [await hs1.register('alice'), await hs1.register('bob')]
  const room = await testRoom(alice)
  await room.change(bob, bob, 'join')
  const far = network.remote('far.example')
  const there = await enterRoom(far, hs1, room.roomId, FAR_USER)
  await network.settle()
  const { ephemeral, users, store } = hs1.homeserver.ctx
  const told = async (type: string) => {
    await network.settle()
    return far.received.filter((edu) => edu.edu_type === type).map((edu) => edu.content as unknown)
  }
  const upTo = () => store.position()
  const receipt = async (client: TestClient, eventId: string, body: object = {}) => {
    const path = roomPath(room.roomId, 'receipt', 'm.read', eventId)
    const { status } = await client.request('POST', path, body)
    return status
  }
  const unread = async (client: TestClient) => {
    const counts = await users.notifications.unreadCounts(store.db, client.userId as UserId, [room.roomId])
    const found = counts.get(room.roomId)
    return found ? [found.all.notification_count, found.all.highlight_count, found.threads.size] : [0, 0, 0]
  }
  return { ...network, hs1, alice, bob, room, far, there, ephemeral, store, told, upTo, receipt, unread }
}

forEachDatabase((database) => {
  test('typing goes to the other servers of a room and comes from them, unless it keeps them out', async () => {
    const { alice, room, far, ephemeral, store, told, upTo } = await aRoom(database)
    const { status } = await alice.request('PUT', `${room.path}/typing/${alice.userId}`, { typing: true })
    assert.equal(status, 200)
    assert.deepEqual(await told('m.typing'), [{ room_id: room.roomId, user_id: alice.userId, typing: true }])
    const edu = (typing: boolean) => ({
      edu_type: 'm.typing',
      content: { room_id: room.roomId, user_id: FAR_USER, typing },
    })
    const typing = async () => (await ephemeral.typingSince(store.db, [room.roomId], 0, await upTo())).get(room.roomId)
    await far.sendEdus('hs1', [edu(true)])
    assert.deepEqual(await typing(), [alice.userId, FAR_USER])
    await far.sendEdus('hs1', [edu(false)])
    await room.set(alice, 'm.room.server_acl', { allow: ['*'], deny: ['far.example'] })
    await far.sendEdus('hs1', [edu(true)])
    assert.deepEqual(await typing(), [alice.userId])
  })

  test('messages are counted as unread until they are read, by room and by thread', async () => {
    const { alice, bob, room, there, far, receipt, unread } = await aRoom(database)
    const root = await room.say(alice, 'one')
    assert.equal(await receipt(bob, root), 200)
    assert.deepEqual(await unread(bob), [0, 0, 0])
    const relates = { 'm.relates_to': { rel_type: 'm.thread', event_id: root } }
    const threaded = await room.say(alice, 'in a thread', relates)
    const last = await room.say(alice, 'hello bob', { 'm.mentions': { user_ids: [bob.userId] } })
    assert.deepEqual(await unread(bob), [2, 1, 1])
    assert.equal(await receipt(bob, threaded, { thread_id: last }), 400)
    assert.equal(await receipt(bob, threaded, { thread_id: root }), 200)
    assert.deepEqual(await unread(bob), [1, 1, 0])
    const page = await bob.request('GET', '/notifications?limit=1')
    assert.equal(page.body.notifications[0].event.event_id, last)
    assert.deepEqual([page.body.notifications[0].read, page.body.notifications[0].room_id], [false, room.roomId])
    const next = await bob.request('GET', `/notifications?from=${page.body.next_token}`)
    assert.deepEqual([next.body.notifications[0].event.event_id, next.body.notifications[0].read], [threaded, true])
    const highlights = await bob.request('GET', '/notifications?only=highlight')
    assert.equal(highlights.body.notifications.length, 1)
    const said = there.say({ type: 'm.room.message', sender: FAR_USER, content: { msgtype: 'm.text', body: 'hi' } })
    await far.sendPdus('hs1', [said.pdu])
    assert.deepEqual(await unread(bob), [2, 1, 0])
    const synced = (await bob.sync()).rooms.join[room.roomId]
    assert.deepEqual(synced.unread_notifications, { notification_count: 2, highlight_count: 1 })
    await room.say(bob, 'I have read it')
    assert.deepEqual(await unread(bob), [0, 0, 0])
    assert.equal((await bob.request('GET', '/notifications?limit=x')).status, 400)
  })

  test('receipts go to the other servers, and come from them', async () => {
    const { alice, bob, room, far, ephemeral, store, told, receipt, upTo } = await aRoom(database)
    const event = await room.say(alice, 'one')
    await receipt(bob, event)
    const [edu] = await told('m.receipt')
    const mark = (edu as Record<string, { 'm.read': Record<string, { event_ids: string[] }> }>)[room.roomId]!['m.read']
    assert.deepEqual(mark[bob.userId]?.event_ids, [event])
    await far.sendEdus('hs1', [
      {
        edu_type: 'm.receipt',
        content: { [room.roomId]: { 'm.read': { [FAR_USER]: { event_ids: [event], data: { ts: 5 } } } } },
      },
    ])
    const shown = await ephemeral.receiptsSince(store.db, alice.userId as UserId, [room.roomId], 0, await upTo())
    assert.deepEqual(Object.keys(shown.get(room.roomId as RoomId)![event]!['m.read']!).sort(), [bob.userId, FAR_USER])
  })

  test('whoever syncs is seen as online by the servers that share a room', async () => {
    const { alice, told, clock } = await aRoom(database)
    await alice.sync()
    const updates = (await told('m.presence')) as { push: { user_id: string; presence: string }[] }[]
    const seen = updates.flatMap((edu) => edu.push).map(({ user_id, presence }) => `${user_id} ${presence}`)
    assert.deepEqual(seen, [`${alice.userId} online`])
    assert.equal((await alice.request('GET', '/sync?set_presence=busyish')).status, 400)
    await clock.advance(5 * 60_000)
    const status = await alice.request('GET', `/presence/${alice.userId}/status`)
    assert.equal(status.body.presence, 'offline')
  })
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachDatabase, type TestDatabase } from '../../../test/support/databases.ts'
import { ephemeralOn } from '../../../test/support/ephemeral.ts'
import { type ServerName, serverNameOf, type UserId } from '../../matrix/ids.ts'

const BOB = '@bob:far.example' as UserId
const FAR = serverNameOf(BOB)
const NOW = 1_767_225_600_000

async function room(database: TestDatabase) {
  const read: unknown[] = []
  const on = await ephemeralOn(database, async (_tx, userId, _roomId, upTo) => {
    read.push([userId, upTo.position, upTo.threadId])
  })
  const [alice, carol] = [await on.user('alice'), await on.user('carol')]
  const roomId = on.rooms.room('!r:example.org', alice.userId, carol.userId, BOB)
  on.rooms.events(roomId, ['$1', '$2', '$3'])
  on.rooms.events(roomId, ['$t1', '$t2'], '$1')
  const post = async (path: string, body: unknown = {}, token = alice.token, room: string = roomId) => {
    const answer = await on.ask('POST', `/_matrix/client/v3/rooms/${room}${path}`, body, token)
    return answer.status === 200 ? 200 : `${answer.status} ${answer.body.errcode}`
  }
  const shown = async (userId: UserId, after = 0) =>
    (await on.ephemeral.receiptsSince(on.store.db, userId, [roomId], after, await on.store.position())).get(roomId)
  const told = async () => (await on.delivered(FAR)).map(({ content }) => content)
  const fullyRead = async () => {
    const all = await on.users.roomAccountDataSince(alice.userId, 0, await on.store.position())
    return all.get(roomId)
  }
  return { ...on, alice, carol, roomId, post, shown, told, read, fullyRead }
}

forEachDatabase((database) => {
  test('a public receipt is shown to all and told to the servers of the room; a private one to its user alone', async () => {
    const { alice, carol, roomId, post, shown, told } = await room(database)
    assert.equal(await post('/receipt/m.read/$1'), 200)
    const publicly = { $1: { 'm.read': { [alice.userId]: { ts: NOW } } } }
    assert.deepEqual([await shown(alice.userId), await shown(carol.userId)], [publicly, publicly])
    const edu = { event_ids: ['$1'], data: { ts: NOW } }
    assert.deepEqual(await told(), [{ [roomId]: { 'm.read': { [alice.userId]: edu } } }])

    assert.equal(await post('/receipt/m.read.private/$2'), 200)
    const own = { ...publicly, $2: { 'm.read.private': { [alice.userId]: { ts: NOW } } } }
    assert.deepEqual([await shown(alice.userId), await shown(carol.userId)], [own, publicly])
    assert.deepEqual(await told(), [])
  })

  test('receipts of one type and thread only go ahead', async () => {
    const { alice, post, shown, told, store, read } = await room(database)
    await post('/receipt/m.read/$2')
    await told()
    const position = await store.position()
    assert.deepEqual([await post('/receipt/m.read/$1'), await post('/receipt/m.read/$2')], [200, 200])
    assert.deepEqual(
      [await store.position(), await told(), await shown(alice.userId, position)],
      [position, [], undefined],
    )
    await post('/receipt/m.read/$1', { thread_id: 'main' })
    await post('/receipt/m.read.private/$1')
    await post('/receipt/m.read/$3')
    assert.deepEqual(Object.keys((await shown(alice.userId, position))!).sort(), ['$1', '$3'])
    assert.deepEqual(read, [
      [alice.userId, 2, ''],
      [alice.userId, 1, 'main'],
      [alice.userId, 1, ''],
      [alice.userId, 3, ''],
    ])
  })

  test('a receipt of a thread is for an event of that thread, or its root', async () => {
    const { alice, roomId, post, told, ephemeral, store } = await room(database)
    const inThread = (eventId: string, thread_id: unknown, type = 'm.read') =>
      post(`/receipt/${type}/${eventId}`, { thread_id })
    assert.deepEqual(
      [await inThread('$t1', '$1'), await inThread('$2', 'main'), await inThread('$1', '$1')],
      [200, 200, 200],
    )
    const mark = (eventId: string, thread_id: string) => ({
      [roomId]: { 'm.read': { [alice.userId]: { event_ids: [eventId], data: { ts: NOW, thread_id } } } },
    })
    assert.deepEqual(await told(), [mark('$t1', '$1'), mark('$2', 'main')], 'one EDU has room for one of a user')
    for (const thread of ['', 3, null, 'side', '$2', '$none']) {
      assert.equal(await inThread('$t2', thread), '400 M_INVALID_PARAM', `${thread}`)
    }
    assert.equal(await inThread('$t2', 'main', 'm.fully_read'), '400 M_INVALID_PARAM')
    await post('/receipt/m.read.private/$3')
    assert.deepEqual(await ephemeral.readUpTo(store.db, alice.userId, roomId), {
      unthreaded: 3,
      threads: new Map([
        ['$1', 4],
        ['main', 2],
      ]),
    })
  })

  test('the fully read marker becomes account data of the room, and only goes ahead', async () => {
    const { post, fullyRead, shown, carol, alice } = await room(database)
    assert.equal(await post('/receipt/m.fully_read/$2'), 200)
    assert.equal(await post('/read_markers', { 'm.fully_read': '$1' }), 200)
    assert.deepEqual(await fullyRead(), [{ type: 'm.fully_read', content: { event_id: '$2' } }])
    assert.equal(await post('/read_markers', { 'm.fully_read': '$3', 'm.read': '$2', 'm.read.private': '$3' }), 200)
    assert.deepEqual(await fullyRead(), [{ type: 'm.fully_read', content: { event_id: '$3' } }])
    assert.deepEqual(Object.keys((await shown(alice.userId))!).sort(), ['$2', '$3'])
    assert.deepEqual(Object.keys((await shown(carol.userId))!), ['$2'])
    // All of it or nothing.
    assert.equal(await post('/read_markers', { 'm.read': '$3', 'm.read.private': '$none' }), '404 M_NOT_FOUND')
    assert.deepEqual(Object.keys((await shown(carol.userId))!), ['$2'])
    assert.equal(await post('/read_markers', {}), 200)
  })

  test('what is malformed, unknown or of others is refused', async () => {
    const { post, user, shown, alice } = await room(database)
    const eve = await user('eve')
    assert.equal(await post('/receipt/m.read/$1', {}, eve.token), '403 M_FORBIDDEN')
    assert.equal(await post('/read_markers', { 'm.fully_read': '$1' }, eve.token), '403 M_FORBIDDEN')
    assert.equal(await post('/receipt/m.read/$1', {}, alice.token, '!none:example.org'), '403 M_FORBIDDEN')
    assert.equal(await post('/receipt/m.read/$1', {}, alice.token, 'nonsense'), '400 M_INVALID_PARAM')
    assert.equal(await post('/receipt/m.read/$none'), '404 M_NOT_FOUND')
    assert.equal(await post('/receipt/m.read/none'), '400 M_INVALID_PARAM')
    assert.match(String(await post('/receipt/org.example.read/$1')), /^400 /)
    assert.match(String(await post('/read_markers', { 'm.read': 1 })), /^400 /)
    assert.equal(await shown(alice.userId), undefined)
  })

  test('what another server says of its users is taken, and nothing else', async () => {
    const { alice, carol, roomId, ephemeral, rooms, shown, read } = await room(database)
    const receive = (content: unknown, origin: ServerName = FAR) => ephemeral.receive['m.receipt']!(origin, [content])
    const edu = (
      eventId: unknown,
      data: unknown = { ts: 5 },
      userId: string = BOB,
      type = 'm.read',
      room: string = roomId,
    ) => ({
      [room]: { [type]: { [userId]: { event_ids: [eventId], data } } },
    })
    const bad = [
      null,
      [],
      { [roomId]: { 'm.read': { [BOB]: { event_ids: [], data: { ts: 1 } } } } },
      edu('$1', { ts: 'now' }),
      edu('$1', { ts: 1, thread_id: 'side' }),
      edu('$1', { ts: 1 }, alice.userId),
      edu('$1', { ts: 1 }, '@stranger:far.example'),
      edu('$1', { ts: 1 }, BOB, 'm.read.private'),
      edu('$1', { ts: 1 }, BOB, 'm.read', '!none:far.example'),
      edu(3),
    ]
    for (const content of bad) await receive(content)
    await receive(edu('$1'), 'third.example' as ServerName)
    assert.equal(await shown(alice.userId), undefined)
    // Its neighbours do not suffer from what is wrong.
    await receive({ ...edu('$2', { ts: 1e15 }), '!none:far.example': { 'm.read': 1 } })
    assert.deepEqual(
      await shown(carol.userId),
      { $2: { 'm.read': { [BOB]: { ts: NOW } } } },
      'nobody is from the future',
    )
    await receive(edu('$1'))
    assert.deepEqual(Object.keys((await shown(carol.userId))!), ['$2'])
    rooms.deny(roomId, FAR)
    await receive(edu('$3'))
    assert.deepEqual(Object.keys((await shown(carol.userId))!), ['$2'])
    assert.deepEqual(read, [], 'only our own users have counts here')
  })

  test('a receipt for an event that has not come yet is taken by its time', async () => {
    const { carol, roomId, ephemeral, shown } = await room(database)
    const receive = (eventId: string, ts: number) =>
      ephemeral.receive['m.receipt']!(FAR, [
        { [roomId]: { 'm.read': { [BOB]: { event_ids: [eventId], data: { ts } } } } },
      ])
    const at = async () => Object.keys((await shown(carol.userId)) ?? {})
    await receive('$1', 100)
    await receive('$late', 50)
    assert.deepEqual(await at(), ['$1'])
    await receive('$late', 200)
    assert.deepEqual(await at(), ['$late'])
    await receive('$2', 300)
    assert.deepEqual(await at(), ['$2'])
  })
})

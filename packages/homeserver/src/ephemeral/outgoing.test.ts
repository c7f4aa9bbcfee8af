import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SERVER_NAME } from '../../test/support/accounts.ts'
import { forEachDatabase, type TestDatabase } from '../../test/support/databases.ts'
import { createFakeClock } from '../../test/support/fake-clock.ts'
import { createFakeRooms } from '../../test/support/fake-rooms.ts'
import type { EventId, RoomId, ServerName, UserId } from '../matrix/ids.ts'
import { silentLogger } from '../platform/logger.ts'
import { mergeEdus, type QueuedEdu } from './merge-edus.ts'
import { createOutgoing } from './outgoing.ts'

const FAR = 'far.example' as ServerName
const ROOM = '!r:example.org' as RoomId
const user = (n: number) => `@u${n}:example.org` as UserId
const typing = (n: number): QueuedEdu => ({ kind: 'typing', roomId: ROOM, userId: user(n), typing: true })
const receipt = (n: number, eventId: string, threadId = '', roomId = ROOM): QueuedEdu => ({
  kind: 'receipt',
  roomId,
  userId: user(n),
  threadId,
  eventId: eventId as EventId,
  ts: 1,
})
const presence = (n: number): QueuedEdu => ({
  kind: 'presence',
  userId: user(n),
  presence: 'online',
  statusMsg: null,
  lastActiveAt: 500,
  currentlyActive: true,
})

test('receipts and presence are put together, as far as their formats allow', () => {
  const other = '!other:example.org' as RoomId
  const queued = [
    presence(1),
    receipt(1, '$a'),
    receipt(2, '$a'),
    receipt(1, '$b', 'main'),
    presence(2),
    receipt(1, '$c', '', other),
  ]
  const { edus, taken } = mergeEdus(queued, 1_500, 100)
  assert.equal(taken, 6)
  const mark = (eventId: string, data: object = { ts: 1 }) => ({ event_ids: [eventId], data })
  const update = (n: number) => ({
    user_id: user(n),
    presence: 'online',
    last_active_ago: 1_000,
    currently_active: true,
  })
  assert.deepEqual(edus, [
    { edu_type: 'm.presence', content: { push: [update(1), update(2)] } },
    {
      edu_type: 'm.receipt',
      content: {
        [ROOM]: { 'm.read': { [user(1)]: mark('$a'), [user(2)]: mark('$a') } },
        [other]: { 'm.read': { [user(1)]: mark('$c') } },
      },
    },
    {
      edu_type: 'm.receipt',
      content: { [ROOM]: { 'm.read': { [user(1)]: mark('$b', { ts: 1, thread_id: 'main' }) } } },
    },
  ])
})

test('no more is taken than there is room for', () => {
  const queued = [typing(1), receipt(1, '$a'), receipt(2, '$a'), typing(2), presence(1)]
  const { edus, taken } = mergeEdus(queued, 0, 2)
  assert.deepEqual([edus.length, taken], [2, 3])
  assert.deepEqual(mergeEdus(queued, 0, 0), { edus: [], taken: 0 })
})

async function outgoingOn(database: TestDatabase) {
  const store = await database.open()
  const clock = createFakeClock()
  const outgoing = createOutgoing({
    store,
    clock,
    log: silentLogger,
    serverName: SERVER_NAME,
    rooms: createFakeRooms(SERVER_NAME),
    fullyRead: { content: async () => undefined, put: async () => {} },
    onRead: async () => {},
    wakeSender: () => {},
  })
  const queue = (...edus: QueuedEdu[]) =>
    store.transaction(async (tx) => {
      for (const edu of edus) await outgoing.queue(tx, [FAR, 'third.example' as ServerName], edu)
    })
  const take = (limit = 100) => outgoing.source.take(FAR, limit)
  return { store, clock, outgoing, queue, take }
}

forEachDatabase((database) => {
  test('what is newer takes the place of what it makes obsolete, also while that is under way', async () => {
    const { store, queue, take, outgoing } = await outgoingOn(database)
    await queue(receipt(1, '$a'))
    await queue(receipt(1, '$b'), typing(2))
    const batch = await take()
    assert.equal((await take()).id, batch.id, 'the same again has the same name')
    assert.equal(batch.edus.length, 2)
    await queue(receipt(1, '$c'))
    await store.transaction((tx) => batch.delivered(tx))
    const next = await take()
    assert.notEqual(next.id, batch.id)
    assert.deepEqual(next.edus, [
      {
        edu_type: 'm.receipt',
        content: { [ROOM]: { 'm.read': { [user(1)]: { event_ids: ['$c'], data: { ts: 1 } } } } },
      },
    ])
    await store.transaction((tx) => next.delivered(tx))
    assert.deepEqual([(await take()).edus, await outgoing.source.destinations()], [[], ['third.example']])
  })

  test('what is left for want of room is taken next', async () => {
    const { store, queue, take } = await outgoingOn(database)
    await queue(typing(1), typing(2), typing(3))
    const first = await take(2)
    await store.transaction((tx) => first.delivered(tx))
    const second = await take(2)
    assert.deepEqual([first.edus.length, second.edus.length], [2, 1])
  })

  test('a queue has an end: the oldest go', async () => {
    const { store, queue, take } = await outgoingOn(database)
    const waiting = Array.from({ length: 2_000 }, (_, n) => ({
      destination: FAR,
      key: `${n}`,
      kind: 'receipt' as const,
      content: JSON.stringify(receipt(n, '$a')),
      position: 1,
      created_at: 0,
    }))
    await store.db.insertInto('outgoing_edus').values(waiting).execute()
    for (let n = 0; n < 5; n++) await queue(receipt(5_000 + n, '$a'))
    const rows = await store.db.selectFrom('outgoing_edus').select('id').where('destination', '=', FAR).execute()
    assert.equal(rows.length, 2_000)
    const { edus } = await take()
    const users = Object.keys((edus[0]!.content as Record<string, Record<string, object>>)[ROOM]!['m.read']!)
    assert.deepEqual([users.length, users[0]], [200, user(5)])
  })

  test('receipts wait; typing and presence are forgotten', async () => {
    const { clock, queue, take, outgoing, store } = await outgoingOn(database)
    await queue(typing(1), presence(1), receipt(1, '$a'))
    await clock.advance(60_001)
    await outgoing.cleanUp(clock.now())
    const left = await store.db.selectFrom('outgoing_edus').select('kind').execute()
    assert.deepEqual(
      left.map((row) => row.kind),
      ['receipt', 'receipt'],
    )
    assert.equal((await take()).edus.length, 1)
  })
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accountsOn } from '../../test/support/accounts.ts'
import { forEachDatabase, type TestDatabase } from '../../test/support/databases.ts'
import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import type { NotifyingEvent } from './notifications.ts'

const ROOM = '!r:example.org' as RoomId
const BOB = '@bob:far.example' as UserId

async function room(database: TestDatabase) {
  const accounts = await accountsOn(await database.open())
  const { store, users } = accounts
  const [alice, carol] = [await accounts.user('alice'), await accounts.user('carol')]
  let events = 0
  const members = [alice, carol].map(({ userId }) => ({ userId, displayName: userId.slice(1, 6) }))

  /** An event by bob, unless it says otherwise. @returns its position */
  const add = (event: object = {}, more: Partial<NotifyingEvent> = {}) =>
    store.transaction(async (tx) => {
      const position = await tx.nextPosition()
      await users.notifications.countUnread(tx, {
        event: {
          type: 'm.room.message',
          sender: BOB,
          room_id: ROOM,
          event_id: `$${++events}` as EventId,
          content: { body: 'hello', msgtype: 'm.text' },
          ...event,
        },
        position,
        threadId: 'main',
        members,
        memberCount: 3,
        senderPowerLevel: 0,
        notificationLevel: () => 50,
        ...more,
      })
      return position
    })
  /** What a user has not read: all, highlights, and by thread. */
  const unread = async (userId: UserId) => {
    const counts = (await users.notifications.unreadCounts(store.db, userId, [ROOM])).get(ROOM)
    if (!counts) return 'nothing'
    const threads = [...counts.threads].map(([thread, count]) => `${thread} ${count.notification_count}`).sort()
    return [counts.all.notification_count, counts.all.highlight_count, ...threads]
  }
  const read = (userId: UserId, position: number, threadId = '') =>
    store.transaction((tx) => users.notifications.markRead(tx, userId, ROOM, { position, threadId }))
  const pushRules = (user: typeof alice, path: string, body: object) =>
    accounts.ask('PUT', `/_matrix/client/v3/pushrules/global/${path}`, body, user.token)
  return { ...accounts, alice, carol, members, add, unread, read, pushRules }
}

const mention = (userId: UserId) => ({
  content: { body: 'hello', msgtype: 'm.text', 'm.mentions': { user_ids: [userId] } },
})

forEachDatabase((database) => {
  test('what is redacted is not left to be read', async () => {
    const { store, users, alice, carol, members, add, unread } = await room(database)
    await add({ event_id: '$taken_back', ...mention(alice.userId) })
    await add()
    assert.deepEqual(
      [await unread(alice.userId), await unread(carol.userId)],
      [
        [2, 1],
        [2, 0],
      ],
    )
    const redacted = { roomId: ROOM, eventId: '$taken_back' as EventId, members }
    await store.transaction((tx) => users.notifications.takeBack(tx, redacted))
    assert.deepEqual(
      [await unread(alice.userId), await unread(carol.userId)],
      [
        [1, 0],
        [1, 0],
      ],
    )
  })

  test('events are counted for those whom they notify, but not for who sent them', async () => {
    const { alice, carol, add, unread } = await room(database)
    await add()
    await add(mention(carol.userId))
    await add({ type: 'org.example.x' })
    await add({ sender: alice.userId })
    assert.deepEqual([await unread(alice.userId), await unread(carol.userId)], ['nothing', [3, 1]])
    assert.equal(await unread(BOB), 'nothing')
  })

  test('a receipt clears its thread, or all of them, up to its event', async () => {
    const { alice, carol, add, unread, read } = await room(database)
    const first = await add()
    await add({}, { threadId: '$1' })
    const third = await add(mention(alice.userId))
    const fourth = await add({}, { threadId: '$1' })
    assert.deepEqual(await unread(alice.userId), [4, 1, '$1 2'])
    await read(alice.userId, first, 'main')
    assert.deepEqual(await unread(alice.userId), [3, 1, '$1 2'])
    await read(alice.userId, third)
    assert.deepEqual(await unread(alice.userId), [1, 0, '$1 1'])
    await read(alice.userId, fourth, '$1')
    assert.equal(await unread(alice.userId), 'nothing')
    assert.deepEqual(await unread(carol.userId), [4, 0, '$1 2'])
  })

  test('who sends has read the thread, and who has left has read all', async () => {
    const { alice, carol, members, add, unread } = await room(database)
    await add()
    await add({}, { threadId: '$1' })
    await add({ sender: alice.userId })
    assert.deepEqual(await unread(alice.userId), [1, 0, '$1 1'])
    const leave = {
      type: 'm.room.member',
      sender: carol.userId,
      state_key: carol.userId,
      content: { membership: 'leave' },
    }
    await add(leave, { members: members.slice(0, 1) })
    assert.equal(await unread(carol.userId), 'nothing')
  })

  test('rules that change hold for the next event, and who is ignored notifies nobody', async () => {
    const { alice, carol, add, unread, ask, pushRules } = await room(database)
    await add()
    await pushRules(alice, 'content/tea', { actions: ['notify', { set_tweak: 'highlight' }], pattern: 'hello' })
    await add()
    assert.deepEqual(await unread(alice.userId), [2, 1])
    await pushRules(alice, 'override/.m.rule.master/enabled', { enabled: true })
    await add()
    assert.deepEqual(await unread(alice.userId), [2, 1])
    const path = `/_matrix/client/v3/user/${carol.userId}/account_data/m.ignored_user_list`
    await ask('PUT', path, { ignored_users: { [BOB]: {} } }, carol.token)
    await add()
    assert.deepEqual(await unread(carol.userId), [3, 0])
    await ask('PUT', path, { ignored_users: 'nonsense' }, carol.token)
    await add()
    assert.deepEqual(await unread(carol.userId), [4, 0])
  })

  test('an invitation notifies who is invited', async () => {
    const { alice, add, unread } = await room(database)
    const invited = { userId: alice.userId, displayName: undefined }
    const invite = { type: 'm.room.member', state_key: alice.userId, content: { membership: 'invite' } }
    await add(invite, { members: [invited] })
    assert.deepEqual(await unread(alice.userId), [1, 0])
  })

  test('notifications are listed page by page, the latest first, until they are forgotten', async () => {
    const { alice, users, add, read, clock, unread } = await room(database)
    for (let n = 1; n <= 5; n++) await add(n % 2 === 0 ? mention(alice.userId) : {})
    const third = await add()
    await read(alice.userId, third - 1)
    const list = async (query: { from?: string; limit?: number; highlights?: boolean } = {}) => {
      const page = await users.notifications.notifications(alice.userId, {
        from: undefined,
        limit: 100,
        highlights: false,
        ...query,
      })
      return { ids: page.notifications.map((one) => one.eventId).join(' '), next: page.nextToken, page }
    }
    const first = await list({ limit: 4 })
    assert.equal(first.ids, '$6 $5 $4 $3')
    const { ids, next } = await list({ limit: 4, from: first.next! })
    assert.deepEqual([ids, next], ['$2 $1', undefined])
    assert.equal((await list({ highlights: true })).ids, '$4 $2')
    assert.deepEqual(
      first.page.notifications.map((one) => one.read),
      [false, true, true, true],
    )
    assert.deepEqual(first.page.notifications[0]?.actions, ['notify'])
    await assert.rejects(list({ from: 'x' }), { errcode: 'M_INVALID_PARAM' })
    await users.notifications.forgetOld(clock.now() + 40 * 24 * 3_600_000)
    assert.equal((await list()).ids, '$6')
    await users.notifications.forgetOld(clock.now() + 200 * 24 * 3_600_000)
    assert.equal(await unread(alice.userId), 'nothing')
  })
})

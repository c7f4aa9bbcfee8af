import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachDatabase, type TestDatabase } from '../../../test/support/databases.ts'
import { ephemeralOn } from '../../../test/support/ephemeral.ts'
import type { ServerName, UserId } from '../../matrix/ids.ts'

const BOB = '@bob:far.example' as UserId
const FAR = 'far.example' as ServerName
const MINUTE = 60_000

async function room(database: TestDatabase) {
  const on = await ephemeralOn(database)
  const [alice, carol] = [await on.user('alice'), await on.user('carol')]
  const roomId = on.rooms.room('!r:example.org', alice.userId, carol.userId, BOB)
  const status = (userId: string, token = alice.token) =>
    on.ask('GET', `/_matrix/client/v3/presence/${userId}/status`, undefined, token)
  const set = (body: unknown, token = alice.token, userId: string = alice.userId) =>
    on.ask('PUT', `/_matrix/client/v3/presence/${userId}/status`, body, token)
  let seen = await on.store.position()
  /** What a sync of a user shows since the last look. */
  const news = async (userId: UserId = carol.userId) => {
    const after = seen
    seen = await on.store.position()
    const events = await on.ephemeral.presenceSince(on.store.db, userId, after, seen)
    return events.map(({ sender, content }) => `${sender} ${content.presence} ${content.currently_active ?? false}`)
  }
  const told = async () =>
    (await on.delivered(FAR)).flatMap(({ content }) => (content as { push: { presence: string }[] }).push)
  return { ...on, alice, carol, roomId, status, set, news, told }
}

forEachDatabase((database) => {
  test('what a user sets is seen by those who share a room', async () => {
    const { alice, carol, status, set, news, told, clock, user, store } = await room(database)
    let woken = 0
    store.notifier.subscribe(carol.userId, () => woken++)
    assert.deepEqual((await status(alice.userId)).body, { presence: 'offline' })
    assert.deepEqual((await set({ presence: 'online', status_msg: 'here' })).body, {})
    assert.deepEqual([await news(), woken], [[`${alice.userId} online true`], 1])
    assert.deepEqual(await told(), [
      { user_id: alice.userId, presence: 'online', last_active_ago: 0, currently_active: true, status_msg: 'here' },
    ])
    await clock.advance(10_000)
    const seen = { presence: 'online', last_active_ago: 10_000, currently_active: true, status_msg: 'here' }
    assert.deepEqual((await status(alice.userId, carol.token)).body, seen)
    await set({ presence: 'unavailable' })
    assert.deepEqual((await status(alice.userId)).body, { presence: 'unavailable', last_active_ago: 10_000 })
    assert.deepEqual(await news(alice.userId), [`${alice.userId} unavailable false`])
    const eve = await user('eve')
    assert.equal((await status(alice.userId, eve.token)).body.errcode, 'M_FORBIDDEN')
    assert.equal((await status('@nobody:example.org')).body.errcode, 'M_FORBIDDEN')
  })

  test('malformed and foreign changes are refused', async () => {
    const { carol, set, status, alice } = await room(database)
    assert.deepEqual([(await set({ presence: 'online' }, carol.token)).status], [403])
    for (const body of [{}, { presence: 'busyish' }, { presence: 'online', status_msg: 3 }, []]) {
      assert.equal((await set(body)).status, 400)
    }
    assert.equal((await set({ presence: 'online', status_msg: 'x'.repeat(1_025) })).status, 400)
    assert.equal((await set({ presence: 'online', status_msg: '\0' })).status, 400)
    assert.equal((await status('nonsense')).body.errcode, 'M_INVALID_PARAM')
    assert.deepEqual((await status(alice.userId)).body, { presence: 'offline' })
  })

  test('who syncs is online, idle after five minutes, and offline when the syncs end', async () => {
    const { alice, ephemeral, clock, news, status } = await room(database)
    ephemeral.start()
    const sync = async (ms: number) => {
      for (let passed = 0; passed < ms; passed += 30_000) {
        await ephemeral.syncing(alice, 'online', 30_000)
        await clock.advance(30_000)
      }
    }
    await sync(MINUTE)
    assert.deepEqual(await news(), [`${alice.userId} online true`])
    await sync(2 * MINUTE)
    assert.deepEqual(await news(), [`${alice.userId} online false`])
    await sync(3 * MINUTE)
    assert.deepEqual(await news(), [`${alice.userId} unavailable false`])
    await ephemeral.active(alice)
    assert.deepEqual(await news(), [`${alice.userId} online true`])
    await sync(MINUTE)
    await clock.advance(2 * MINUTE)
    assert.equal((await status(alice.userId)).body.presence, 'offline')
    assert.deepEqual(await news(), [`${alice.userId} offline false`])
    await ephemeral.stop()
    assert.equal(clock.pendingTimers(), 0)
  })

  test('the most present of several devices counts, and one that wants to be offline says nothing', async () => {
    const { alice, ephemeral, status, set } = await room(database)
    const tablet = { ...alice, deviceId: 'TABLET' }
    const now = async () => (await status(alice.userId)).body.presence
    await ephemeral.syncing(alice, 'offline', 0)
    assert.equal(await now(), 'offline')
    await ephemeral.syncing(alice, 'unavailable', 0)
    assert.equal(await now(), 'unavailable')
    await ephemeral.syncing(tablet, 'online', 0)
    await ephemeral.syncing(alice, 'unavailable', 0)
    assert.equal(await now(), 'online')
    await ephemeral.syncing(tablet, 'unavailable', 0)
    assert.equal(await now(), 'unavailable')
    await set({ presence: 'offline' })
    assert.equal(await now(), 'unavailable')
    await ephemeral.syncing(tablet, 'offline', 0)
    await ephemeral.setPresence(tablet, 'offline', undefined)
    assert.equal(await now(), 'offline')
  })

  test('syncs that say nothing new write nothing', async () => {
    const { alice, ephemeral, store, clock, told } = await room(database)
    await ephemeral.syncing(alice, 'online', 30_000)
    const position = await store.position()
    await told()
    for (let second = 0; second < 50; second++) {
      await ephemeral.syncing(alice, 'online', 30_000)
      await ephemeral.active(alice)
      await clock.advance(1_000)
    }
    assert.deepEqual([await store.position(), await told()], [position, []])
  })

  test('other servers are told again before they forget', async () => {
    const { alice, ephemeral, clock, told } = await room(database)
    ephemeral.start()
    let times = 0
    for (let minutes = 0; minutes < 60; minutes++) {
      await ephemeral.syncing(alice, 'unavailable', 30_000)
      times += (await told()).length
      await clock.advance(MINUTE)
    }
    assert.equal(times, 3)
    await ephemeral.stop()
  })

  test('what another server says of its users is taken, and nothing else', async () => {
    const { alice, ephemeral, clock, news, status } = await room(database)
    const said = {
      user_id: BOB,
      presence: 'online',
      last_active_ago: 5_000,
      currently_active: true,
      status_msg: 'a\0b',
    }
    const receive = (push: unknown, origin = FAR) => ephemeral.receive['m.presence']!(origin, [{ push }])
    await receive('nonsense')
    await receive([null, { ...said, user_id: alice.userId }, { ...said, user_id: '@stranger:far.example' }])
    await receive([{ ...said, presence: 'busyish' }, { presence: 'online' }])
    await receive([said], 'third.example' as ServerName)
    assert.deepEqual(await news(), [])
    await receive([3, said])
    assert.deepEqual(await news(), [`${BOB} online true`])
    const seen = { presence: 'online', last_active_ago: 5_000, currently_active: true, status_msg: 'ab' }
    assert.deepEqual((await status(BOB)).body, seen)
    await receive([{ ...said, last_active_ago: 1 }])
    assert.deepEqual(await news(), [], 'nothing that shows has changed')
    ephemeral.start()
    await clock.advance(36 * MINUTE)
    assert.deepEqual(await news(), [`${BOB} offline false`], 'their server has said nothing more')
    await ephemeral.stop()
  })

  test('a first sync shows who is there, and a new server is told of who is', async () => {
    const { alice, carol, ephemeral, store, set, delivered } = await room(database)
    await set({ presence: 'online' })
    await set({ presence: 'online' }, carol.token, carol.userId)
    await set({ presence: 'offline' }, carol.token, carol.userId)
    const events = await ephemeral.presenceSince(store.db, alice.userId, 0, await store.position())
    assert.deepEqual(
      events.map(({ sender }) => sender),
      [alice.userId],
    )
    const others = await ephemeral.presenceOfUsers(store.db, [alice.userId, BOB])
    assert.deepEqual(others, [
      {
        type: 'm.presence',
        sender: alice.userId,
        content: { presence: 'online', last_active_ago: 0, currently_active: true },
      },
    ])
    await store.transaction((tx) =>
      ephemeral.introduce(tx, [alice.userId, carol.userId], ['new.example' as ServerName]),
    )
    const [edu, ...more] = await delivered('new.example')
    assert.deepEqual(more, [])
    assert.deepEqual(
      (edu!.content as { push: { user_id: string }[] }).push.map((one) => one.user_id),
      [alice.userId],
    )
  })
})

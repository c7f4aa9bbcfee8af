import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachDatabase, type TestDatabase } from '../../../test/support/databases.ts'
import { ephemeralOn } from '../../../test/support/ephemeral.ts'
import type { ServerName } from '../../matrix/ids.ts'

const BOB = '@bob:far.example'
const FAR = 'far.example' as ServerName

async function room(database: TestDatabase) {
  const on = await ephemeralOn(database)
  const alice = await on.user('alice')
  const roomId = on.rooms.room('!r:example.org', alice.userId, BOB)
  const type = (body: unknown, userId: string = alice.userId, token = alice.token, room: string = roomId) =>
    on.ask('PUT', `/_matrix/client/v3/rooms/${room}/typing/${userId}`, body, token)
  let seen = await on.store.position()
  /** Who is shown as typing by a sync since the last one; `undefined` if nothing changed. */
  const news = async () => {
    const after = seen
    seen = await on.store.position()
    return (await on.ephemeral.typingSince(on.store.db, [roomId], after, seen)).get(roomId)
  }
  const told = async () => (await on.delivered(FAR)).filter(({ type }) => type === 'm.typing').map((edu) => edu.content)
  return { ...on, alice, roomId, type, news, told }
}

forEachDatabase((database) => {
  test('who types is shown to the room, and told to its servers', async () => {
    const { alice, roomId, type, news, told, store } = await room(database)
    let woken = 0
    store.notifier.subscribe(roomId, () => woken++)
    assert.deepEqual((await type({ typing: true, timeout: 30_000 })).body, {})
    assert.deepEqual(await news(), [alice.userId])
    const edu = { room_id: roomId, user_id: alice.userId }
    assert.deepEqual(await told(), [{ ...edu, typing: true }])
    // Nothing has changed for anybody.
    await type({ typing: true, timeout: 30_000 })
    assert.deepEqual([await news(), await told()], [undefined, []])
    await type({ typing: false })
    assert.deepEqual([await news(), await told()], [[], [{ ...edu, typing: false }]])
    await type({ typing: false })
    assert.deepEqual([await news(), woken], [undefined, 2])
  })

  test('a first sync shows the rooms where somebody types, and only those asked for', async () => {
    const { alice, ephemeral, store, type, rooms, roomId } = await room(database)
    const other = rooms.room('!other:example.org', alice.userId)
    await type({ typing: true })
    await type({ typing: true }, alice.userId, alice.token, other)
    await type({ typing: false }, alice.userId, alice.token, other)
    const upTo = await store.position()
    const all = await ephemeral.typingSince(store.db, [roomId, other], 0, upTo)
    assert.deepEqual([...all], [[roomId, [alice.userId]]])
    assert.deepEqual([...(await ephemeral.typingSince(store.db, [], 0, upTo))], [])
  })

  test('it ends by itself, and no later than after a minute', async () => {
    const { alice, ephemeral, clock, type, news } = await room(database)
    ephemeral.start()
    for (const [timeout, lasts] of [
      [10_000, 10_000],
      [3_600_000, 60_000],
      [-5, 1_000],
      [undefined, 30_000],
    ] as const) {
      await type({ typing: true, timeout })
      await clock.advance(lasts - 1)
      assert.deepEqual(await news(), [alice.userId])
      await clock.advance(1)
      assert.deepEqual(await news(), [])
    }
    await ephemeral.stop()
  })

  test('other servers are told again while it goes on', async () => {
    const { clock, type, told } = await room(database)
    let times = 0
    for (let second = 0; second < 60; second += 5) {
      await type({ typing: true, timeout: 30_000 })
      times += (await told()).length
      await clock.advance(5_000)
    }
    assert.equal(times, 3)
  })

  test('nobody else can say it, and nobody outside of the room', async () => {
    const { alice, type, user, news } = await room(database)
    const eve = await user('eve')
    for (const answer of [
      await type({ typing: true }, alice.userId, eve.token),
      await type({ typing: true }, eve.userId, eve.token),
      await type({ typing: true }, alice.userId, alice.token, '!none:example.org'),
    ]) {
      assert.deepEqual([answer.status, answer.body.errcode], [403, 'M_FORBIDDEN'])
    }
    for (const body of [{}, { typing: 'yes' }, { typing: true, timeout: 'long' }, []]) {
      assert.equal((await type(body)).status, 400)
    }
    assert.equal((await type({ typing: true }, alice.userId, alice.token, 'nonsense')).body.errcode, 'M_INVALID_PARAM')
    assert.equal(await news(), undefined)
  })

  test('what another server says of its users is taken, and nothing else', async () => {
    const { ephemeral, rooms, roomId, news, alice, clock } = await room(database)
    const receive = (content: unknown, origin = FAR) => ephemeral.receive['m.typing']!(origin, [content])
    const said = { room_id: roomId, user_id: BOB, typing: true }
    const bad = [
      null,
      { ...said, user_id: alice.userId },
      { ...said, user_id: '@stranger:far.example' },
      { ...said, room_id: '!none:far.example' },
      { ...said, room_id: 3 },
      { ...said, typing: 'yes' },
    ]
    for (const content of bad) await receive(content)
    await receive(said, 'third.example' as ServerName)
    assert.equal(await news(), undefined)
    await receive(said)
    assert.deepEqual(await news(), [BOB])
    await receive({ ...said, typing: false })
    assert.deepEqual(await news(), [])
    await receive(said)
    ephemeral.start()
    await clock.advance(60_000)
    assert.deepEqual(await news(), [], 'the other server has said nothing more')
    await ephemeral.stop()
    rooms.deny(roomId, FAR)
    await receive(said)
    assert.equal(await news(), undefined, 'the room keeps this server out')
  })

  test('what could not be told within a minute is not told late', async () => {
    const { clock, type, told, ephemeral } = await room(database)
    await type({ typing: true })
    assert.deepEqual(await ephemeral.outgoing.destinations(), [FAR])
    await clock.advance(60_001)
    assert.deepEqual(await told(), [])
    assert.deepEqual(await ephemeral.outgoing.destinations(), [])
  })
})

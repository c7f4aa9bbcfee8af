import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { forEachDatabase, onSqlite, type TestDatabase } from '../support/databases.ts'
import { createRoom, roomPath } from '../support/room-client.ts'
import type { ClientAnswer, TestClient } from '../support/test-client.ts'
import { testNetwork } from '../support/test-network.ts'

async function ok(answer: Promise<ClientAnswer>): Promise<ClientAnswer['body']> {
  const { status, body } = await answer
  assert.equal(status, 200, JSON.stringify(body))
  return body
}

/** Alice on hs1, bob on hs2 and carol on hs3, all in one public room in which everybody may set the topic. */
async function world(database: TestDatabase) {
  const net = await testNetwork(['hs1', 'hs2', 'hs3'], { database, realRooms: true })
  const { hs1, hs2, hs3 } = net.servers
  const [alice, bob, carol] = await Promise.all([hs1.register('alice'), hs2.register('bob'), hs3.register('carol')])
  const levels = { state_default: 0, users: { [alice.userId]: 100 } }
  // In version 11: the creator's power is what the levels say.
  const wish = { preset: 'public_chat', room_version: '11', power_level_content_override: levels }
  const roomId = await createRoom(alice, wish)
  for (const client of [bob, carol]) {
    await ok(client.request('POST', `/join/${encodeURIComponent(roomId)}?via=hs1`, {}))
    await net.advance(1_000)
  }
  let said = 0
  const say = async (client: TestClient, body: string): Promise<string> => {
    const content = { msgtype: 'm.text', body }
    return (await ok(client.request('PUT', roomPath(roomId, 'send', 'm.room.message', `t${said++}`), content))).event_id
  }
  const setTopic = (client: TestClient, topic: string) =>
    ok(client.request('PUT', roomPath(roomId, 'state', 'm.room.topic'), { topic }))
  const topicOf = async (client: TestClient): Promise<string> =>
    (await client.request('GET', roomPath(roomId, 'state', 'm.room.topic'))).body.topic
  /** What a client sees of a room's messages, oldest first. */
  const seen = async (client: TestClient): Promise<string[]> => {
    const { chunk } = await ok(client.request('GET', `${roomPath(roomId, 'messages')}?dir=b&limit=100`))
    return chunk.flatMap((event: { content: { body?: string } }) => event.content.body ?? []).reverse()
  }
  const stateOf = async (client: TestClient): Promise<string[]> => {
    const state = await ok(client.request('GET', roomPath(roomId, 'state')))
    return state.map((event: { event_id: string }) => event.event_id).sort()
  }
  return { ...net, alice, bob, carol, roomId, say, setTopic, topicOf, seen, stateOf }
}

forEachDatabase((database) => {
  test('what is said on one server is seen on all others', async () => {
    const { alice, bob, carol, say, seen, advance } = await world(database)
    await say(alice, 'a')
    await advance(100)
    await say(bob, 'b')
    await advance(100)
    await say(carol, 'c')
    await advance(100)
    for (const client of [alice, bob, carol]) assert.deepEqual(await seen(client), ['a', 'b', 'c'])
  })

  test('servers that were apart see the same room in the end', async () => {
    const { alice, bob, carol, say, setTopic, topicOf, seen, stateOf, network, advance, until } = await world(database)
    network.partition(['hs1'], ['hs2', 'hs3'])
    await setTopic(alice, 'by alice')
    await say(alice, 'apart 1')
    await advance(5_000)
    await setTopic(bob, 'by bob')
    await say(carol, 'apart 2')
    await advance(5_000)
    assert.deepEqual(await Promise.all([alice, bob, carol].map(topicOf)), ['by alice', 'by bob', 'by bob'])
    network.heal()
    const haveAll = async () => (await Promise.all([alice, bob, carol].map(seen))).every((one) => one.length === 2)
    await until(haveAll, 120_000)
    for (const client of [alice, bob, carol]) assert.equal(await topicOf(client), 'by bob')
    await say(alice, 'together')
    await advance(1_000)
    const [first, ...others] = await Promise.all([alice, bob, carol].map(stateOf))
    for (const other of others) assert.deepEqual(other, first)
    for (const client of [alice, bob, carol]) assert.equal((await seen(client)).at(-1), 'together')
  })

  test('a server that was down gets all that it has missed, in order', async () => {
    const { alice, bob, carol, say, seen, servers, until } = await world(database)
    await servers.hs2.stop()
    const bodies = Array.from({ length: 70 }, (_, n) => `while down ${n}`)
    for (const body of bodies) await say(Number(body.slice(11)) % 2 === 0 ? alice : carol, body)
    await servers.hs2.start()
    const last = ['while down 68', 'while down 69']
    await until(async () => {
      const latest = await seen(bob)
      return last.every((body) => latest.includes(body))
    }, 600_000)
    const shown = await seen(bob)
    assert.equal(new Set(shown).size, 70)
    const ofAlice = shown.filter((body) => Number(body.slice(11)) % 2 === 0)
    assert.deepEqual(
      ofAlice,
      ofAlice.toSorted((a, b) => Number(a.slice(11)) - Number(b.slice(11))),
    )
  })

  test('an invitation that is withdrawn is gone on the invited side, and no other', async () => {
    const net = await testNetwork(['hs1', 'hs2'], { database, realRooms: true })
    const [alice, bob] = [await net.servers.hs1.register('alice'), await net.servers.hs2.register('bob')]
    const [roomId, other] = [await createRoom(alice), await createRoom(alice)]
    for (const room of [roomId, other])
      await ok(alice.request('POST', roomPath(room, 'invite'), { user_id: bob.userId }))
    await net.advance(1_000)
    await ok(alice.request('POST', roomPath(roomId, 'kick'), { user_id: bob.userId }))
    await net.advance(1_000)
    const rows = await net.servers.hs2.homeserver.ctx.store.db
      .selectFrom('memberships')
      .select(['room_id', 'membership'])
      .where('user_id', '=', bob.userId as never)
      .execute()
    const membership = Object.fromEntries(rows.map((row) => [row.room_id, row.membership]))
    assert.deepEqual(membership, { [roomId]: 'leave', [other]: 'invite' })
  })

  test('an invitation is not withdrawn by anybody whose power nobody outside can know', async () => {
    const net = await testNetwork(['hs1', 'hs2'], { database, realRooms: true })
    const { hs1, hs2 } = net.servers
    const [alice, carol, bob] = [await hs1.register('alice'), await hs1.register('carol'), await hs2.register('bob')]
    const roomId = await createRoom(alice, { preset: 'public_chat', power_level_content_override: { invite: 0 } })
    await ok(carol.request('POST', `/join/${encodeURIComponent(roomId)}`, {}))
    await ok(carol.request('POST', roomPath(roomId, 'invite'), { user_id: bob.userId }))
    await net.advance(1_000)
    await ok(alice.request('POST', roomPath(roomId, 'kick'), { user_id: bob.userId }))
    await net.advance(1_000)
    assert.ok((await bob.sync()).rooms.invite[roomId])
  })

  test('what was said before a server came is fetched by whoever reads back', async () => {
    const net = await testNetwork(['hs1', 'hs2'], { database, realRooms: true })
    const [alice, bob] = [await net.servers.hs1.register('alice'), await net.servers.hs2.register('bob')]
    const roomId = await createRoom(alice, { preset: 'public_chat' })
    for (let n = 0; n < 30; n++) {
      await ok(
        alice.request('PUT', roomPath(roomId, 'send', 'm.room.message', `${n}`), { msgtype: 'm.text', body: `${n}` }),
      )
    }
    await ok(bob.request('POST', `/join/${encodeURIComponent(roomId)}?via=hs1`, {}))
    await net.advance(1_000)
    const shown: string[] = []
    const types: string[] = []
    for (let from = '', page = 0; page < 10; page++) {
      const query = `?dir=b&limit=10${from && `&from=${from}`}`
      const { chunk, end } = await ok(bob.request('GET', `${roomPath(roomId, 'messages')}${query}`))
      for (const event of chunk) {
        types.push(event.type)
        if (event.content.body) shown.push(event.content.body)
      }
      if (!end) break
      from = end
    }
    assert.deepEqual(
      shown,
      Array.from({ length: 30 }, (_, n) => `${29 - n}`),
    )
    assert.equal(types.at(-1), 'm.room.create')
  })
})

onSqlite((database) => {
  describe('a server that is away for long', () => {
    test('is owed no more than the newest events of each room', async () => {
      const { alice, bob, say, seen, servers, until, advance } = await world(database)
      await servers.hs2.stop()
      for (let n = 0; n < 30; n++) await say(alice, `${n}`)
      const { store, rooms } = servers.hs1.homeserver.ctx
      const owed = async () =>
        (
          await store.db
            .selectFrom('outgoing_events')
            .selectAll()
            .where('destination', '=', 'hs2' as never)
            .execute()
        ).length
      assert.equal(await owed(), 30)
      // As if much more had been said.
      const [first] = await store.db.selectFrom('outgoing_events').selectAll().orderBy('position').execute()
      const more = Array.from({ length: 471 }, (_, n) => ({ ...first!, position: -n - 1 }))
      for (const row of more) await store.db.insertInto('outgoing_events').values(row).execute()
      await rooms.outgoing.cleanUp()
      assert.equal(await owed(), 1)
      await servers.hs2.start()
      await until(async () => (await seen(bob)).at(-1) === '29', 1_200_000)
      await advance(1_000)
      assert.equal(await owed(), 0)
      assert.ok((await seen(bob)).includes('0'))
    })
  })
})

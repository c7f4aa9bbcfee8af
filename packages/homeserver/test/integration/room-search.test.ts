import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { forEachDatabase, type TestDatabase } from '../support/databases.ts'
import type { TestClient } from '../support/test-client.ts'
import { testNetwork } from '../support/test-network.ts'
import { testRoom } from '../support/test-room.ts'

async function aliceAndBob(database: TestDatabase, wish: object = {}) {
  const { servers, clock } = await testNetwork(['hs1'], { database, realRooms: true })
  const server = servers.hs1
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await testRoom(alice, wish)
  const search = async (client: TestClient, search_term: string, more: object = {}, query = '') => {
    const asked = { search_categories: { room_events: { search_term, ...more } } }
    const { status, body } = await client.request('POST', `/search${query}`, asked)
    assert.equal(status, 200, JSON.stringify(body))
    return body.search_categories.room_events
  }
  const found = async (...asked: Parameters<typeof search>): Promise<string[]> =>
    (await search(...asked)).results.map(
      ({ result }: { result: { content: { body?: string } } }) => result.content.body,
    )
  return { server, alice, bob, room, clock, search, found }
}

forEachDatabase((database) => {
  describe('POST /search', () => {
    test('finds what has all the words, in names and topics too', async () => {
      const { alice, room, search, found, clock } = await aliceAndBob(database)
      for (const body of ['Martians and men', 'only martians', 'Les Mártians, ET MEN!']) {
        await clock.advance(1)
        await room.say(alice, body)
      }
      await room.set(alice, 'm.room.name', { name: 'martians here' })
      await room.set(alice, 'm.room.topic', { topic: 'of martians' })
      const recent = { order_by: 'recent', keys: ['content.body'] }
      assert.deepEqual(await found(alice, 'men MARTIANS', recent), ['Les Mártians, ET MEN!', 'Martians and men'])
      assert.deepEqual(await found(alice, '"men" -martians*', recent), ['Les Mártians, ET MEN!', 'Martians and men'])
      assert.equal((await search(alice, 'martians')).count, 5)
      const named = await search(alice, 'martians', { keys: ['content.name'] })
      assert.deepEqual([named.results[0].result.type, named.highlights], ['m.room.name', ['martians']])
      assert.ok(named.results[0].rank > 0)
      assert.deepEqual((await search(alice, '!!')).results, [])
    })

    test('shows only what the user may see, in rooms that they are or were in', async () => {
      const { server, alice, bob, room, found } = await aliceAndBob(database, {
        initial_state: [{ type: 'm.room.history_visibility', content: { history_visibility: 'joined' } }],
      })
      await room.say(alice, 'needle before')
      await room.change(bob, bob, 'join')
      await room.say(alice, 'needle while')
      await room.change(bob, bob, 'leave')
      await room.say(alice, 'needle after')
      assert.deepEqual(await found(bob, 'needle'), ['needle while'])
      assert.equal((await found(alice, 'needle')).length, 3)
      assert.deepEqual(await found(await server.register('carol'), 'needle'), [])
      await server.homeserver.ctx.rooms.members.forget(bob.userId as never, room.roomId)
      assert.deepEqual(await found(bob, 'needle'), [])
      await room.set(alice, 'm.room.encryption', { algorithm: 'm.megolm.v1.aes-sha2' })
      assert.deepEqual(await found(alice, 'needle'), [])
    })

    test('forgets what is redacted', async () => {
      const { alice, room, found } = await aliceAndBob(database)
      const said = await room.say(alice, 'regret')
      assert.deepEqual(await found(alice, 'regret'), ['regret'])
      await room.redact(alice, said)
      assert.deepEqual(await found(alice, 'regret'), [])
    })

    test('goes on page by page, whatever is said meanwhile', async () => {
      const { alice, room, search, clock } = await aliceAndBob(database)
      for (let n = 0; n < 25; n++) {
        await clock.advance(1)
        await room.say(alice, `page ${n}`)
      }
      const bodies: string[] = []
      let query = ''
      for (let page = 0; page < 5; page++) {
        const { results, next_batch: next } = await search(alice, 'page', { order_by: 'recent' }, query)
        bodies.push(...results.map((one: { result: { content: { body: string } } }) => one.result.content.body))
        await room.say(alice, 'page later')
        if (next === undefined) break
        query = `?next_batch=${next}`
      }
      assert.deepEqual(
        bodies,
        Array.from({ length: 25 }, (_, n) => `page ${24 - n}`),
      )
    })

    test('filters, groups, shows what was around and the state', async () => {
      const { alice, bob, room, search, found } = await aliceAndBob(database)
      await room.change(bob, bob, 'join')
      const other = await testRoom(alice, { name: 'Other' })
      await room.say(alice, 'before')
      await room.say(bob, 'the word')
      await room.say(alice, 'after')
      await other.say(alice, 'another word')
      assert.deepEqual(await found(alice, 'word', { filter: { rooms: [room.roomId] } }), ['the word'])
      assert.deepEqual(await found(alice, 'word', { filter: { not_senders: [bob.userId] } }), ['another word'])
      assert.deepEqual(await found(alice, 'word', { filter: { rooms: [] } }), [])
      const { results, groups, state } = await search(alice, 'word', {
        order_by: 'recent',
        filter: { rooms: [room.roomId] },
        event_context: { before_limit: 1, after_limit: 1, include_profile: true },
        groupings: { group_by: [{ key: 'room_id' }, { key: 'sender' }] },
        include_state: true,
      })
      const { context, result } = results[0]
      assert.deepEqual(
        [context.events_before[0].content.body, context.events_after[0].content.body],
        ['before', 'after'],
      )
      assert.deepEqual(Object.keys(context.profile_info).sort(), [alice.userId, bob.userId])
      assert.deepEqual(groups, {
        room_id: { [room.roomId]: { order: 0, results: [result.event_id] } },
        sender: { [bob.userId]: { order: 0, results: [result.event_id] } },
      })
      assert.ok(state[room.roomId].some((event: { type: string }) => event.type === 'm.room.create'))
    })

    test('refuses what is no search', async () => {
      const { alice } = await aliceAndBob(database)
      const refused = async (room_events: object, query = '') => {
        const { status, body } = await alice.request('POST', `/search${query}`, { search_categories: { room_events } })
        return [status, body.errcode]
      }
      assert.deepEqual(await refused({}), [400, 'M_BAD_JSON'])
      assert.deepEqual(await refused({ search_term: 'a', keys: ['content.secret'] }), [400, 'M_BAD_JSON'])
      assert.deepEqual(await refused({ search_term: 'a', filter: { types: 'x' } }), [400, 'M_BAD_JSON'])
      assert.deepEqual(await refused({ search_term: 'a' }, '?next_batch=x'), [400, 'M_INVALID_PARAM'])
    })
  })

  describe('reports', () => {
    test('of events are kept if the reporter is in the room, of rooms and users from anybody', async () => {
      const { server, alice, bob, room } = await aliceAndBob(database)
      const said = encodeURIComponent(await room.say(alice, 'spam'))
      const report = async (client: TestClient, path: string, body: object) =>
        (await client.request('POST', path, body)).status
      assert.equal(await report(bob, `${room.path}/report/${said}`, { reason: 'spam' }), 404)
      assert.equal(await report(bob, `${room.path}/report`, { reason: 'bad room' }), 200)
      assert.equal(await report(bob, '/rooms/!none:hs1/report', { reason: '' }), 404)
      assert.equal(await report(bob, `${room.path}/report`, {}), 400)
      assert.equal(await report(bob, `/users/${encodeURIComponent(alice.userId)}/report`, { reason: 'bad user' }), 200)
      await room.change(bob, bob, 'join')
      assert.equal(await report(bob, `${room.path}/report/${said}`, { reason: 'spam', score: -50 }), 200)
      assert.equal(await report(bob, `${room.path}/report/$none`, { reason: 'spam' }), 404)
      const rows = await server.homeserver.ctx.store.db.selectFrom('reports').selectAll().orderBy('id').execute()
      assert.deepEqual(
        rows.map((row) => [row.reporter, row.room_id, row.user_id, row.reason, row.score]),
        [
          [bob.userId, room.roomId, null, 'bad room', null],
          [bob.userId, null, alice.userId, 'bad user', null],
          [bob.userId, room.roomId, null, 'spam', -50],
        ],
      )
    })
  })
})

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { forEachDatabase, type TestDatabase } from '../support/databases.ts'
import type { ClientAnswer, TestClient } from '../support/test-client.ts'
import { testNetwork } from '../support/test-network.ts'
import { type TestRoom, testRoom } from '../support/test-room.ts'

async function aliceAndBob(database: TestDatabase, wish: object = {}) {
  const { servers, ...rest } = await testNetwork(['hs1'], { database, realRooms: true })
  const server = servers.hs1
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await testRoom(alice, wish)
  return { server, alice, bob, room, ...rest }
}

type Event = { event_id: string; type: string; content: { body?: string }; unsigned: Record<string, unknown> }

const bodies = (events: Event[]) => events.flatMap(({ content }) => content.body ?? [])

async function messagesOf(room: TestRoom, client: TestClient, query = 'dir=b&limit=100'): Promise<ClientAnswer> {
  return room.get(client, `/messages?${query}`)
}

/** What history visibility shows of a message said at each of these times. */
const TIMES = ['before the invitation', 'before the join', 'while joined', 'after leaving'] as const
const VISIBLE: Record<string, { invited: string[]; joined: string[]; left: string[]; never: string[] }> = {
  world_readable: {
    invited: ['before the invitation', 'before the join'],
    joined: ['before the invitation', 'before the join', 'while joined'],
    left: [...TIMES],
    never: [...TIMES],
  },
  shared: {
    invited: [],
    joined: ['before the invitation', 'before the join', 'while joined'],
    left: ['before the invitation', 'before the join', 'while joined'],
    never: [],
  },
  invited: {
    invited: ['before the join'],
    joined: ['before the join', 'while joined'],
    left: ['before the join', 'while joined'],
    never: [],
  },
  joined: { invited: [], joined: ['while joined'], left: ['while joined'], never: [] },
}

forEachDatabase((database) => {
  describe('history visibility', () => {
    for (const [visibility, expected] of Object.entries(VISIBLE)) {
      test(`${visibility}: for the invited, the joined, those who left and those who never were there`, async () => {
        const { server, alice, bob, room } = await aliceAndBob(database, {
          initial_state: [{ type: 'm.room.history_visibility', content: { history_visibility: visibility } }],
        })
        const carol = await server.register('carol')
        const read = async (client: TestClient) => {
          const { status, body } = await messagesOf(room, client)
          if (status === 403) return 'forbidden'
          assert.equal(status, 200, JSON.stringify(body))
          return bodies(body.chunk).reverse()
        }
        const single = async (client: TestClient, eventIds: string[]) => {
          const seen = []
          for (const id of eventIds) {
            const { status, body } = await room.get(client, `/event/${encodeURIComponent(id)}`)
            assert.ok(status === 200 || body.errcode === 'M_NOT_FOUND', JSON.stringify(body))
            if (status === 200) seen.push(body.content.body)
          }
          return seen
        }
        const said = [await room.say(alice, TIMES[0])]
        await room.change(alice, bob, 'invite')
        said.push(await room.say(alice, TIMES[1]))
        assert.deepEqual(await read(bob), expected.invited)
        await room.change(bob, bob, 'join')
        said.push(await room.say(alice, TIMES[2]))
        assert.deepEqual(await read(bob), expected.joined)
        await room.change(bob, bob, 'leave')
        said.push(await room.say(alice, TIMES[3]))
        assert.deepEqual(await read(bob), expected.left)
        assert.deepEqual(await single(bob, said), expected.left)
        assert.deepEqual(await read(carol), visibility === 'world_readable' ? expected.never : 'forbidden')
        assert.deepEqual(await single(carol, said), expected.never)
        assert.deepEqual(await read(alice), [...TIMES])
      })
    }

    test('changes of it are seen from either side of them', async () => {
      const { alice, bob, room } = await aliceAndBob(database)
      for (const [visibility, body] of [
        ['joined', 'one'],
        ['invited', 'two'],
        ['shared', 'three'],
      ] as const) {
        await room.set(alice, 'm.room.history_visibility', { history_visibility: visibility })
        await room.say(alice, body)
      }
      await room.change(bob, bob, 'join')
      const { body } = await messagesOf(room, bob)
      const changes = body.chunk.filter((event: Event) => event.type === 'm.room.history_visibility')
      assert.deepEqual(
        changes.map((event: { content: object }) => event.content),
        ['shared', 'joined', 'shared'].map((visibility) => ({ history_visibility: visibility })),
      )
      assert.deepEqual(bodies(body.chunk), ['three'])
    })

    test('of a user who had everything erased, those who were not there see redacted messages', async () => {
      const { server, alice, bob, room } = await aliceAndBob(database)
      await room.change(bob, bob, 'join')
      await room.say(bob, 'secret')
      const carol = await server.register('carol')
      await room.change(carol, carol, 'join')
      const { store } = server.homeserver.ctx
      await store.db
        .updateTable('users')
        .set({ erased: 1 })
        .where('user_id', '=', bob.userId as never)
        .execute()
      assert.deepEqual(bodies((await messagesOf(room, alice)).body.chunk), ['secret'])
      assert.deepEqual(bodies((await messagesOf(room, carol)).body.chunk), [])
    })

    test('of a state that a user may not see, only the event that replaced it is told', async () => {
      const { alice, bob, room } = await aliceAndBob(database, {
        initial_state: [{ type: 'm.room.history_visibility', content: { history_visibility: 'joined' } }],
      })
      const secret = await room.set(alice, 'm.room.topic', { topic: 'secret' })
      await room.set(alice, 'm.room.history_visibility', { history_visibility: 'shared' })
      const open = await room.set(alice, 'm.room.topic', { topic: 'open' })
      await room.change(bob, bob, 'join')
      const unsignedFor = async (client: TestClient) =>
        (await room.get(client, `/event/${encodeURIComponent(open)}`)).body.unsigned
      const { replaces_state: replaced, prev_content: before } = await unsignedFor(bob)
      assert.deepEqual([replaced, before], [secret, undefined])
      assert.deepEqual((await unsignedFor(alice)).prev_content, { topic: 'secret' })
    })

    test('messages of ignored users are not shown, their state is', async () => {
      const { alice, bob, room } = await aliceAndBob(database)
      await room.change(bob, bob, 'join')
      await room.say(bob, 'noise')
      await room.say(alice, 'signal')
      const path = `/user/${encodeURIComponent(alice.userId)}/account_data/m.ignored_user_list`
      await alice.request('PUT', path, { ignored_users: { [bob.userId]: {} } })
      const { chunk } = (await messagesOf(room, alice)).body
      assert.deepEqual(bodies(chunk), ['signal'])
      assert.ok(chunk.some((event: { state_key?: string }) => event.state_key === bob.userId))
    })
  })

  describe('GET /rooms/{roomId}/messages', () => {
    test('goes through all of a room in pages, both ways', async () => {
      const { alice, room } = await aliceAndBob(database)
      for (let n = 0; n < 25; n++) await room.say(alice, `m${n}`)
      const whole = (await messagesOf(room, alice, 'dir=f&limit=100')).body
      assert.equal(whole.end, undefined)
      for (const dir of ['f', 'b']) {
        const found: Event[] = []
        let from = ''
        for (let page = 0; ; page++) {
          assert.ok(page < 12)
          const { status, body } = await messagesOf(room, alice, `dir=${dir}&limit=4${from && `&from=${from}`}`)
          assert.equal(status, 200)
          found.push(...body.chunk)
          if (body.end === undefined) break
          from = body.end
        }
        const ids = found.map((event) => event.event_id)
        const expected = whole.chunk.map((event: Event) => event.event_id)
        assert.deepEqual(ids, dir === 'f' ? expected : expected.toReversed())
      }
    })

    test('stops at `to`, and takes tokens of /sync', async () => {
      const { alice, room } = await aliceAndBob(database)
      await room.say(alice, 'one')
      const { next_batch: since } = await alice.sync()
      await room.say(alice, 'two')
      await room.say(alice, 'three')
      assert.deepEqual(bodies((await messagesOf(room, alice, `dir=b&to=${since}`)).body.chunk), ['three', 'two'])
      assert.deepEqual(bodies((await messagesOf(room, alice, `dir=f&from=${since}`)).body.chunk), ['two', 'three'])
      assert.deepEqual(bodies((await messagesOf(room, alice, `dir=b&limit=1&from=${since}`)).body.chunk), ['one'])
    })

    test('chooses by a filter', async () => {
      const { alice, bob, room } = await aliceAndBob(database)
      await room.change(bob, bob, 'join')
      await room.say(alice, 'plain')
      await room.say(alice, 'picture', { url: 'mxc://hs1/a' })
      await room.say(bob, 'from bob')
      const read = async (filter: object) => {
        const query = `dir=b&limit=50&filter=${encodeURIComponent(JSON.stringify(filter))}`
        const { status, body } = await messagesOf(room, alice, query)
        assert.equal(status, 200, JSON.stringify(body))
        return body
      }
      assert.deepEqual(bodies((await read({ contains_url: true })).chunk), ['picture'])
      assert.deepEqual(bodies((await read({ senders: [bob.userId] })).chunk), ['from bob'])
      assert.deepEqual(bodies((await read({ not_senders: [bob.userId] })).chunk), ['picture', 'plain'])
      const types = (await read({ types: ['m.room.m*'] })).chunk.map((event: Event) => event.type)
      assert.deepEqual([...new Set(types)].sort(), ['m.room.member', 'm.room.message'])
      const lazy = await read({ lazy_load_members: true, types: ['m.room.message'], senders: [bob.userId] })
      assert.deepEqual(
        lazy.state.map((event: { state_key: string }) => event.state_key),
        [bob.userId],
      )
      const refused = await messagesOf(room, alice, 'dir=b&filter={"types":1}')
      assert.deepEqual([refused.status, refused.body.errcode], [400, 'M_BAD_JSON'])
    })

    test('refuses what is no token, direction, limit or room', async () => {
      const { alice, room } = await aliceAndBob(database)
      for (const query of ['dir=b&from=x', 'dir=b&to=s1_', 'dir=up', 'dir=b&limit=-1', 'dir=b&from=t1_1;drop']) {
        const { status, body } = await messagesOf(room, alice, query)
        assert.deepEqual([status, body.errcode], [400, 'M_INVALID_PARAM'], query)
      }
      const unknown = await alice.request('GET', '/rooms/!unknown:hs1/messages?dir=b')
      assert.deepEqual([unknown.status, unknown.body.errcode], [403, 'M_FORBIDDEN'])
    })
  })

  test('a message that is redacted counts as unread no more', async () => {
    const { alice, bob, room } = await aliceAndBob(database)
    await room.change(bob, bob, 'join')
    const said = await room.say(bob, 'look', { 'm.mentions': { user_ids: [alice.userId] } })
    const unread = async () => (await alice.sync()).rooms.join[room.roomId].unread_notifications
    assert.equal((await unread()).highlight_count, 1)
    await room.redact(bob, said)
    assert.equal((await unread()).highlight_count, 0)
  })

  describe('the form of events', () => {
    test('unsigned tells the transaction to the device that sent it, the age, the membership, the state before', async () => {
      const { alice, bob, room, clock } = await aliceAndBob(database)
      await room.set(alice, 'm.room.name', { name: 'old' })
      const named = await room.set(alice, 'm.room.name', { name: 'new' })
      const { body } = await alice.request('PUT', `${room.path}/send/m.room.message/my-txn`, { body: 'x' })
      await clock.advance(1_000)
      await room.change(bob, bob, 'join')
      const read = async (client: TestClient, id: string) =>
        (await room.get(client, `/event/${encodeURIComponent(id)}`)).body
      const own = await read(alice, body.event_id)
      assert.deepEqual(own.unsigned, { age: 1_000, transaction_id: 'my-txn', membership: 'join' })
      assert.equal(own.room_id, room.roomId)
      assert.deepEqual((await read(bob, body.event_id)).unsigned, { age: 1_000, membership: 'leave' })
      const other = await alice.login()
      assert.equal((await read(other, body.event_id)).unsigned.transaction_id, undefined)
      const {
        prev_content: before,
        replaces_state: replaced,
        prev_sender: sender,
      } = (await read(alice, named)).unsigned
      assert.deepEqual([before, sender], [{ name: 'old' }, alice.userId])
      assert.match(replaced, /^\$/)
    })

    for (const version of ['10', '11']) {
      test(`of a redacted event and its redaction, in room version ${version}`, async () => {
        const { alice, room } = await aliceAndBob(database, { room_version: version })
        const said = await room.say(alice, 'oops')
        const redaction = await room.redact(alice, said)
        const gone = (await room.get(alice, `/event/${encodeURIComponent(said)}`)).body
        assert.deepEqual(gone.content, {})
        const because = gone.unsigned.redacted_because
        assert.deepEqual(
          [because.event_id, because.redacts, because.content.redacts, because.type],
          [redaction, said, said, 'm.room.redaction'],
        )
      })
    }

    test('edits, threads and references come bundled', async () => {
      const { alice, bob, room, clock } = await aliceAndBob(database)
      await room.change(bob, bob, 'join')
      const root = await room.say(alice, 'root')
      const relate = (rel_type: string, event_id: string) => ({ 'm.relates_to': { rel_type, event_id } })
      const edit = (body: string) => ({ ...relate('m.replace', root), 'm.new_content': { msgtype: 'm.text', body } })
      await room.say(alice, '* one', edit('one'))
      await clock.advance(1)
      const second = await room.say(alice, '* two', edit('two'))
      await room.say(bob, '* not his', edit('not his'))
      await room.say(alice, '* without content', relate('m.replace', root))
      const reply = await room.say(bob, 'in the thread', relate('m.thread', root))
      await room.say(bob, '* better', { ...relate('m.replace', reply), 'm.new_content': { body: 'better' } })
      const reference = await room.say(alice, 'see', relate('m.reference', root))
      const read = async (client: TestClient) =>
        (await room.get(client, `/event/${encodeURIComponent(root)}`)).body.unsigned['m.relations']
      const relations = await read(alice)
      assert.equal(relations['m.replace'].event_id, second)
      assert.deepEqual(relations['m.reference'], { chunk: [{ event_id: reference }] })
      const thread = relations['m.thread']
      assert.deepEqual([thread.count, thread.current_user_participated], [1, true])
      assert.equal(thread.latest_event.event_id, reply)
      assert.equal(thread.latest_event.unsigned['m.relations']['m.replace'].content.body, '* better')
      await room.redact(alice, second)
      assert.equal((await read(alice))['m.replace'].content.body, '* one')
      await room.redact(bob, reply)
      assert.equal((await read(bob))['m.thread'], undefined)
    })
  })

  describe('GET /rooms/{roomId}/context/{eventId}', () => {
    test('gives what is around an event, tokens that go on from there, and the state', async () => {
      const { server, alice, bob, room } = await aliceAndBob(database)
      await room.change(bob, bob, 'join')
      const said = []
      for (let n = 0; n < 7; n++) said.push(await room.say(alice, `m${n}`))
      const path = `/context/${encodeURIComponent(said[3]!)}?limit=3`
      const { status, body } = await room.get(alice, path)
      assert.equal(status, 200)
      assert.equal(body.event.content.body, 'm3')
      assert.deepEqual([bodies(body.events_before), bodies(body.events_after)], [['m2'], ['m4', 'm5']])
      const back = await messagesOf(room, alice, `dir=b&limit=1&from=${body.start}`)
      const forth = await messagesOf(room, alice, `dir=f&limit=1&from=${body.end}`)
      assert.deepEqual([bodies(back.body.chunk), bodies(forth.body.chunk)], [['m1'], ['m6']])
      const members = (state: { type: string; state_key: string }[]) =>
        state.filter(({ type }) => type === 'm.room.member').map((event) => event.state_key)
      assert.deepEqual(members(body.state).sort(), [alice.userId, bob.userId])
      const lazy = await room.get(alice, `${path}&filter={"lazy_load_members":true}`)
      assert.deepEqual(members(lazy.body.state), [alice.userId])
      assert.equal((await room.get(await server.register('carol'), path)).body.errcode, 'M_FORBIDDEN')
      assert.equal((await room.get(alice, '/context/$unknown')).body.errcode, 'M_NOT_FOUND')
    })
  })
})

forEachDatabase((database) => {
  const nameIn = (state: { type: string; content: { name?: string } }[]) =>
    state.find(({ type }) => type === 'm.room.name')?.content.name

  describe('the state of a room', () => {
    test('is that of now for members, of when they left for those who did, and nobody elses', async () => {
      const { server, alice, bob, room } = await aliceAndBob(database)
      const carol = await server.register('carol')
      await room.change(bob, bob, 'join')
      await room.set(alice, 'm.room.name', { name: 'with bob' })
      await room.change(bob, bob, 'leave')
      await room.set(alice, 'm.room.name', { name: 'without bob' })
      const read = async (client: TestClient) => {
        const { status, body } = await room.get(client, '/state')
        return status === 200 ? nameIn(body) : body.errcode
      }
      assert.equal(await read(alice), 'without bob')
      assert.equal(await read(bob), 'with bob')
      assert.equal((await room.get(bob, '/state/m.room.name')).body.name, 'with bob')
      assert.equal(await read(carol), 'M_FORBIDDEN')
      assert.equal((await room.get(carol, '/state/m.room.name/')).status, 403)
      await room.change(alice, carol, 'invite')
      assert.equal(await read(carol), 'M_FORBIDDEN')
      await room.set(alice, 'm.room.history_visibility', { history_visibility: 'world_readable' })
      assert.equal(await read(carol), 'without bob')
      assert.equal(await read(bob), 'without bob')
    })

    test('is read piece by piece, in two formats', async () => {
      const { alice, room } = await aliceAndBob(database)
      await room.set(alice, 'org.example.piece', { a: 1 }, 'key/with slash')
      const key = encodeURIComponent('key/with slash')
      assert.deepEqual((await room.get(alice, `/state/org.example.piece/${key}`)).body, { a: 1 })
      const whole = (await room.get(alice, `/state/org.example.piece/${key}?format=event`)).body
      assert.deepEqual(
        [whole.type, whole.state_key, whole.sender, whole.room_id, whole.content],
        ['org.example.piece', 'key/with slash', alice.userId, room.roomId, { a: 1 }],
      )
      const missing = await room.get(alice, '/state/org.example.piece')
      assert.deepEqual([missing.status, missing.body.errcode], [404, 'M_NOT_FOUND'])
      assert.equal((await room.get(alice, '/state/m.room.create?format=pdu')).body.errcode, 'M_INVALID_PARAM')
    })

    test('members: by kind, at a token, and for those who left as they knew them', async () => {
      const { server, alice, bob, room } = await aliceAndBob(database)
      const carol = await server.register('carol')
      await room.change(bob, bob, 'join')
      const { next_batch: at } = await alice.sync()
      await room.change(bob, bob, 'leave')
      await room.change(carol, carol, 'join')
      const read = async (client: TestClient, query = '') => {
        const { status, body } = await room.get(client, `/members${query}`)
        assert.equal(status, 200, JSON.stringify(body))
        return body.chunk.map((event: { state_key: string }) => event.state_key).sort()
      }
      const [a, b, c] = [alice.userId, bob.userId, carol.userId]
      assert.deepEqual(await read(alice), [a, b, c])
      assert.deepEqual(await read(alice, '?membership=join'), [a, c])
      assert.deepEqual(await read(alice, '?not_membership=join'), [b])
      assert.deepEqual(await read(alice, '?membership=join&not_membership=join'), [a, b, c])
      assert.deepEqual(await read(alice, `?at=${at}`), [a, b])
      assert.deepEqual(await read(bob), [a, b])
      assert.deepEqual(Object.keys((await room.get(alice, '/joined_members')).body.joined).sort(), [a, c])
      assert.equal((await room.get(bob, '/joined_members')).status, 403)
      assert.equal((await room.get(alice, '/members?membership=x')).body.errcode, 'M_INVALID_PARAM')
    })

    test('a forgotten room cannot be read', async () => {
      const { server, alice, bob, room } = await aliceAndBob(database)
      await room.change(bob, bob, 'join')
      await room.say(alice, 'hello')
      await room.change(bob, bob, 'leave')
      assert.equal((await messagesOf(room, bob)).status, 200)
      await server.homeserver.ctx.rooms.members.forget(bob.userId as never, room.roomId)
      assert.equal((await messagesOf(room, bob)).status, 403)
      assert.equal((await room.get(bob, '/state')).status, 403)
    })
  })

  describe('GET /rooms/{roomId}/timestamp_to_event', () => {
    test('finds the nearest event that the user may see', async () => {
      const { alice, bob, room, clock } = await aliceAndBob(database, {
        initial_state: [{ type: 'm.room.history_visibility', content: { history_visibility: 'joined' } }],
      })
      const said: string[] = []
      const start = clock.now()
      for (let n = 0; n < 4; n++) {
        await clock.advance(1_000)
        if (n === 2) await room.change(bob, bob, 'join')
        said.push(await room.say(alice, `m${n}`))
      }
      const find = (client: TestClient, ts: number, dir: string) =>
        client.request('GET', `/_matrix/client/v1${room.path}/timestamp_to_event?ts=${ts}&dir=${dir}`)
      assert.deepEqual((await find(alice, start + 1_500, 'f')).body.origin_server_ts, start + 2_000)
      assert.deepEqual((await find(alice, start + 1_500, 'b')).body, {
        event_id: said[0],
        origin_server_ts: start + 1_000,
      })
      assert.equal((await find(bob, start + 1_500, 'f')).body.origin_server_ts, start + 3_000)
      assert.equal((await find(alice, start + 9_000, 'f')).body.errcode, 'M_NOT_FOUND')
      assert.equal((await find(alice, 1, 'x')).body.errcode, 'M_INVALID_PARAM')
    })
  })
})

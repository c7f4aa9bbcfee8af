import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { UserId } from '../../src/matrix/ids.ts'
import { forEachDatabase, type TestDatabase } from '../support/databases.ts'
import type { ClientAnswer, TestClient } from '../support/test-client.ts'
import { testNetwork } from '../support/test-network.ts'
import { testRoom } from '../support/test-room.ts'

type Body = ClientAnswer['body']
type Filter = Record<string, unknown>

const types = (section: { events: { type: string }[] }) => section.events.map(({ type }) => type)
const bodies = (room: Body) =>
  room.timeline.events.flatMap(({ type, content }: Body) => (type === 'm.room.message' ? content.body : []))
const membersIn = (section: { events: Body[] }) =>
  section.events.filter(({ type }) => type === 'm.room.member').map((event) => event.state_key)
const filtered = (client: TestClient, filter: Filter, more: object = {}) =>
  client.sync({ filter: JSON.stringify(filter), ...more })
const limited = (limit: number): Filter => ({ room: { timeline: { limit } } })
const sorted = (names: Iterable<string>) => [...names].sort()

async function start(database: TestDatabase) {
  const net = await testNetwork(['hs1'], { database, realRooms: true })
  const { hs1 } = net.servers
  const [alice, bob] = [await hs1.register('alice'), await hs1.register('bob')]
  return { ...net, hs1, alice, bob, room: await testRoom(alice) }
}

forEachDatabase((database) => {
  describe('rooms that a user is in', () => {
    test('the first sync has the newest events, and the state before them', async () => {
      const { alice, room } = await start(database)
      const { roomId } = room
      for (const text of ['one', 'two', 'three']) await room.say(alice, text)
      const { rooms } = await filtered(alice, limited(2))
      assert.deepEqual(Object.keys(rooms.join), [roomId])
      const { timeline, state, summary } = rooms.join[roomId]
      assert.deepEqual(bodies(rooms.join[roomId]), ['two', 'three'])
      assert.equal(timeline.limited, true)
      assert.ok(types(state).includes('m.room.create') && types(state).includes('m.room.power_levels'))
      assert.deepEqual(membersIn(state), [alice.userId])
      assert.equal(summary['m.joined_member_count'], 1)
      assert.equal(timeline.events[0].room_id, undefined)
    })

    test('earlier events are had with prev_batch', async () => {
      const { alice, room } = await start(database)
      for (const text of ['one', 'two', 'three']) await room.say(alice, text)
      const { rooms } = await filtered(alice, limited(1))
      const { prev_batch: from } = rooms.join[room.roomId].timeline
      const { body } = await room.get(alice, `/messages?dir=b&limit=2&from=${from}`)
      assert.deepEqual(
        body.chunk.map(({ content }: Body) => content.body),
        ['two', 'one'],
      )
    })

    test('a room that fits into its timeline has no state beside it', async () => {
      const { alice, room } = await start(database)
      const { rooms } = await filtered(alice, limited(100))
      const { timeline, state } = rooms.join[room.roomId]
      assert.deepEqual(state.events, [])
      assert.equal(timeline.limited, false)
      assert.equal(timeline.events[0].type, 'm.room.create')
    })

    test('with use_state_after all of the state comes beside the timeline', async () => {
      const { alice, room } = await start(database)
      await alice.sync()
      await room.set(alice, 'm.room.topic', { topic: 'new' })
      const path = `/sync?since=${alice.since}&use_state_after=true`
      const { rooms } = (await alice.request('GET', path)).body
      const { state_after: state, ...rest } = rooms.join[room.roomId]
      assert.deepEqual(types(state), ['m.room.topic'])
      assert.equal('state' in rest, false)
      const first = (await alice.request('GET', '/sync?use_state_after=true')).body.rooms.join[room.roomId]
      assert.ok(types(first.state_after).includes('m.room.create') && types(first.state_after).includes('m.room.topic'))
    })

    test('an incremental sync has what is new, once', async () => {
      const { alice, bob, room } = await start(database)
      await room.change(bob, bob, 'join')
      await alice.sync()
      const { since } = alice
      await room.say(bob, 'hello')
      const first = (await alice.sync()).rooms.join[room.roomId]
      assert.deepEqual(bodies(first), ['hello'])
      assert.deepEqual([first.state.events, first.timeline.limited], [[], false])
      assert.deepEqual((await alice.sync()).rooms.join, {})
      alice.since = since
      assert.deepEqual(bodies((await alice.sync()).rooms.join[room.roomId]), ['hello'])
    })

    test('in a gap, state is what changed in it; what the timeline tells is not told twice', async () => {
      const { alice, room } = await start(database)
      await room.set(alice, 'm.room.topic', { topic: 'first' })
      await alice.sync()
      await room.set(alice, 'm.room.topic', { topic: 'second' })
      await room.set(alice, 'org.example.gone', { n: 1 })
      for (let n = 0; n < 3; n++) await room.say(alice, `${n}`)
      await room.set(alice, 'm.room.topic', { topic: 'third' })
      await room.set(alice, 'm.room.name', { name: 'named' })
      const { timeline, state, summary } = (await filtered(alice, limited(3))).rooms.join[room.roomId]
      assert.equal(timeline.limited, true)
      assert.deepEqual(types(timeline), ['m.room.message', 'm.room.topic', 'm.room.name'])
      const told = state.events.map(({ type, content }: Body) => [type, content.topic ?? content.n])
      assert.deepEqual(told.sort(), [
        ['m.room.topic', 'second'],
        ['org.example.gone', 1],
      ])
      assert.equal(summary['m.heroes'], undefined)
    })

    test('a filter of the timeline moves state that it leaves out to the state', async () => {
      const { alice, room } = await start(database)
      await alice.sync()
      await room.set(alice, 'm.room.topic', { topic: 'new' })
      await room.say(alice, 'hello')
      const filter = { room: { timeline: { types: ['m.room.message'] } } }
      const { timeline, state } = (await filtered(alice, filter)).rooms.join[room.roomId]
      assert.deepEqual([types(timeline), types(state)], [['m.room.message'], ['m.room.topic']])
    })

    test('full_state brings all of the state of quiet rooms, and not their timelines again', async () => {
      const { alice, room } = await start(database)
      await alice.sync()
      const { timeline, state } = (await alice.sync({ full_state: true })).rooms.join[room.roomId]
      assert.deepEqual(timeline.events, [])
      assert.ok(types(state).includes('m.room.create'))
    })

    test('a room that the user has joined since comes whole, history too', async () => {
      const { alice, bob, room } = await start(database)
      await bob.sync()
      await room.say(alice, 'before')
      await room.change(bob, bob, 'join')
      const { timeline, state, summary } = (await filtered(bob, limited(2))).rooms.join[room.roomId]
      assert.deepEqual(types(timeline), ['m.room.message', 'm.room.member'])
      assert.ok(types(state).includes('m.room.create'))
      assert.deepEqual(summary, {
        'm.joined_member_count': 2,
        'm.invited_member_count': 0,
        'm.heroes': [alice.userId],
      })
      await room.say(alice, 'after')
      assert.deepEqual(bodies((await bob.sync()).rooms.join[room.roomId]), ['after'])
    })

    test('what history visibility hides is not shown', async () => {
      const { alice, bob, room } = await start(database)
      await bob.sync()
      await room.set(alice, 'm.room.history_visibility', { history_visibility: 'joined' })
      await room.say(alice, 'hidden')
      await room.change(bob, bob, 'join')
      await room.say(alice, 'shown')
      const shown = (await bob.sync()).rooms.join[room.roomId]
      assert.deepEqual(bodies(shown), ['shown'])
      assert.ok([...types(shown.timeline), ...types(shown.state)].includes('m.room.history_visibility'))
    })

    test('of what history visibility hides, the state now is shown in its place, who came among it', async () => {
      const { hs1, alice, bob, room } = await start(database)
      const carol = await hs1.register('carol')
      await room.change(bob, bob, 'join')
      await room.set(alice, 'm.room.history_visibility', { history_visibility: 'joined' })
      await bob.sync()
      await room.change(bob, bob, 'leave')
      await room.change(carol, carol, 'join')
      await room.say(alice, 'hidden')
      await room.change(bob, bob, 'join')
      const { timeline } = (await bob.sync()).rooms.join[room.roomId]
      assert.deepEqual(membersIn(timeline).slice(-2), [carol.userId, bob.userId])
      assert.deepEqual(bodies({ timeline }), [])
    })

    test('messages of ignored users, and their invitations, are left out', async () => {
      const { alice, bob, room } = await start(database)
      await room.change(bob, bob, 'join')
      const own = await testRoom(bob)
      const path = `/user/${encodeURIComponent(alice.userId)}/account_data/m.ignored_user_list`
      await alice.request('PUT', path, { ignored_users: { [bob.userId]: {} } })
      await alice.sync()
      await room.say(bob, 'ignored')
      await own.change(bob, alice, 'invite')
      await room.say(alice, 'own')
      const { rooms } = await alice.sync()
      assert.deepEqual(bodies(rooms.join[room.roomId]), ['own'])
      assert.deepEqual(rooms.invite, {})
    })

    test('somebody who leaves and comes back between two syncs finds the room whole', async () => {
      const { alice, bob, room } = await start(database)
      await room.change(bob, bob, 'join')
      await bob.sync()
      await room.change(bob, bob, 'leave')
      await room.set(alice, 'm.room.topic', { topic: 'meanwhile' })
      await room.change(bob, bob, 'join')
      const { rooms } = await bob.sync()
      assert.deepEqual(rooms.leave, {})
      const { timeline, state } = rooms.join[room.roomId]
      assert.ok([...types(timeline), ...types(state)].includes('m.room.topic'))
    })
  })

  describe('waiting for what happens in rooms', () => {
    test('a message wakes members, of rooms joined while waiting too', async () => {
      const { alice, bob, room, settle } = await start(database)
      await bob.sync()
      let waiting = bob.sync({ timeout: 30_000 })
      await settle()
      await room.change(bob, bob, 'join')
      assert.ok((await waiting).rooms.join[room.roomId])
      waiting = bob.sync({ timeout: 30_000 })
      await settle()
      await room.say(alice, 'hello')
      assert.deepEqual(bodies((await waiting).rooms.join[room.roomId]), ['hello'])
    })

    test('what a filter leaves out wakes nobody', async () => {
      const { alice, room, settle } = await start(database)
      await alice.sync()
      let ended = false
      const filter = { room: { timeline: { not_types: ['m.room.message'] } } }
      const waiting = filtered(alice, filter, { timeout: 30_000 }).finally(() => {
        ended = true
      })
      await settle()
      await room.say(alice, 'unwanted')
      await settle()
      assert.equal(ended, false)
      await room.send(alice, 'org.example.wanted', {})
      assert.deepEqual(types((await waiting).rooms.join[room.roomId].timeline), ['org.example.wanted'])
    })
  })

  describe('rooms that a user is not in', () => {
    test('an invitation shows what the room is, and itself', async () => {
      const { alice, bob, room } = await start(database)
      await room.set(alice, 'm.room.name', { name: 'Tea' })
      await bob.sync()
      await room.change(alice, bob, 'invite')
      const { rooms } = await bob.sync()
      const { events } = rooms.invite[room.roomId].invite_state
      const by = new Map<string, Body>(events.map((event: Body) => [`${event.type} ${event.state_key}`, event]))
      assert.deepEqual(by.get('m.room.name ')?.content, { name: 'Tea' })
      assert.ok(by.has('m.room.create ') && by.has('m.room.join_rules ') && by.has(`m.room.member ${alice.userId}`))
      const own = by.get(`m.room.member ${bob.userId}`)
      assert.deepEqual([own.content.membership, own.sender], ['invite', alice.userId])
      for (const event of events)
        assert.deepEqual(sorted(Object.keys(event)), ['content', 'sender', 'state_key', 'type'])
      assert.deepEqual([rooms.join, (await bob.sync()).rooms.invite], [{}, {}])
      bob.since = undefined
      assert.ok((await bob.sync()).rooms.invite[room.roomId])
    })

    test('an invitation that is turned down is told as a leave', async () => {
      const { alice, bob, room } = await start(database)
      await room.set(alice, 'm.room.history_visibility', { history_visibility: 'joined' })
      await room.change(alice, bob, 'invite')
      await bob.sync()
      await room.say(alice, 'secret')
      await room.change(bob, bob, 'leave')
      const { timeline, state } = (await bob.sync()).rooms.leave[room.roomId]
      assert.deepEqual([membersIn(timeline), bodies({ timeline }), state.events], [[bob.userId], [], []])
    })

    for (const how of ['leave', 'ban'] as const) {
      test(`after a ${how}, the room is shown up to there, once`, async () => {
        const { alice, bob, room } = await start(database)
        await room.change(bob, bob, 'join')
        await bob.sync()
        await room.say(alice, 'last')
        await room.change(how === 'ban' ? alice : bob, bob, how)
        await room.say(alice, 'later')
        await room.set(alice, 'm.room.topic', { topic: 'later' })
        const { rooms } = await bob.sync()
        const { timeline, state } = rooms.leave[room.roomId]
        assert.deepEqual([bodies({ timeline }), types(state), rooms.join], [['last'], [], {}])
        assert.equal(timeline.events.at(-1).content.membership, how)
        assert.deepEqual((await bob.sync()).rooms.leave, {})
      })
    }

    test('somebody who came and went between two syncs is shown what they were there for', async () => {
      const { alice, bob, room } = await start(database)
      await bob.sync()
      await room.change(bob, bob, 'join')
      await room.say(alice, 'seen')
      await room.change(bob, bob, 'leave')
      await room.say(alice, 'unseen')
      const { timeline, state } = (await bob.sync()).rooms.leave[room.roomId]
      assert.deepEqual(bodies({ timeline }), ['seen'])
      assert.ok([...types(timeline), ...types(state)].includes('m.room.create'))
    })

    test('rooms left before are shown if the filter includes them, as they were, until they are forgotten', async () => {
      const { hs1, alice, bob, room } = await start(database)
      await room.change(bob, bob, 'join')
      await room.say(alice, 'last')
      await room.change(bob, bob, 'leave')
      await room.set(alice, 'm.room.topic', { topic: 'later' })
      assert.deepEqual((await bob.sync()).rooms.leave, {})
      const include = { room: { include_leave: true, timeline: { limit: 2 } } }
      bob.since = undefined
      const { timeline, state } = (await filtered(bob, include)).rooms.leave[room.roomId]
      assert.deepEqual(bodies({ timeline }), ['last'])
      assert.ok(types(state).includes('m.room.create') && !types(state).includes('m.room.topic'))
      assert.ok((await filtered(bob, include, { full_state: true })).rooms.leave[room.roomId])
      bob.since = undefined
      const short = (await filtered(bob, { room: { include_leave: true, timeline: { limit: 0 } } })).rooms.leave[
        room.roomId
      ]
      const own = short.state.events.filter((event: { state_key: string }) => event.state_key === bob.userId)
      assert.deepEqual(short.timeline.events, [])
      assert.deepEqual(
        own.map((event: { content: object }) => event.content),
        [{ membership: 'leave' }],
      )
      await hs1.homeserver.ctx.rooms.members.forget(bob.userId as UserId, room.roomId)
      bob.since = undefined
      assert.deepEqual((await filtered(bob, include)).rooms.leave, {})
    })
  })

  describe('filters', () => {
    test('rooms, types, senders and urls are chosen', async () => {
      const { alice, bob, room } = await start(database)
      const other = await testRoom(alice)
      await room.change(bob, bob, 'join')
      await room.say(bob, 'of bob')
      await room.say(alice, 'of alice', { url: 'mxc://a/b' })
      const shown = async (filter: Filter) => {
        alice.since = undefined
        return (await filtered(alice, { room: filter })).rooms.join
      }
      assert.deepEqual(Object.keys(await shown({ rooms: [room.roomId] })), [room.roomId])
      assert.deepEqual(Object.keys(await shown({ not_rooms: [room.roomId] })), [other.roomId])
      const timeline = async (filter: Filter) => bodies((await shown({ timeline: filter }))[room.roomId])
      assert.deepEqual(await timeline({ senders: [bob.userId] }), ['of bob'])
      assert.deepEqual(await timeline({ not_senders: [bob.userId] }), ['of alice'])
      assert.deepEqual(await timeline({ contains_url: true }), ['of alice'])
      assert.deepEqual(await timeline({ types: ['m.room.m*'], not_types: ['m.room.message'] }), [])
      const { state } = (await shown({ state: { types: ['m.room.create'] }, timeline: { limit: 1 } }))[room.roomId]
      assert.deepEqual(types(state), ['m.room.create'])
    })

    test('a timeline is filled from further back where the filter leaves gaps', async () => {
      const { alice, room } = await start(database)
      await room.say(alice, 'early')
      for (let n = 0; n < 25; n++) await room.send(alice, 'org.example.noise', { n })
      const filter = { room: { timeline: { types: ['m.room.message'], limit: 2 } } }
      const { timeline } = (await filtered(alice, filter)).rooms.join[room.roomId]
      assert.deepEqual([bodies({ timeline }), timeline.limited], [['early'], false])
    })

    test('event_fields and event_format give events another form', async () => {
      const { alice, room } = await start(database)
      await room.say(alice, 'hello', { 'm.dotted': 1 })
      const fields = { event_fields: ['content.body', 'content.m\\.dotted', 'event_id'], ...limited(1) }
      const [event] = (await filtered(alice, fields)).rooms.join[room.roomId].timeline.events
      assert.deepEqual(event.content, { body: 'hello', 'm.dotted': 1 })
      assert.deepEqual(sorted(Object.keys(event)), ['content', 'event_id'])
      alice.since = undefined
      const raw = (await filtered(alice, { event_format: 'federation', ...limited(1) })).rooms.join[room.roomId]
      assert.ok(raw.timeline.events[0].prev_events && raw.state.events[0].signatures)
    })
  })

  describe('members loaded lazily', () => {
    const lazy = (more: object = {}, limit = 10): Filter => ({
      room: { state: { lazy_load_members: true, ...more }, timeline: { limit } },
    })

    async function withCarol() {
      const net = await start(database)
      const carol = await net.hs1.register('carol')
      for (const one of [net.bob, carol]) await net.room.change(one, one, 'join')
      return { ...net, carol }
    }

    test('the first sync has those who say something, the heroes, and the user', async () => {
      const { alice, bob, room } = await withCarol()
      await room.set(alice, 'm.room.name', { name: 'Named' })
      await room.say(bob, 'hello')
      const { state } = (await filtered(alice, lazy({}, 1))).rooms.join[room.roomId]
      assert.deepEqual(sorted(membersIn(state)), sorted([alice.userId, bob.userId]))
    })

    test('a member is sent once, unless asked for again, or the answer may be lost', async () => {
      const { alice, bob, carol, room } = await withCarol()
      await room.set(alice, 'm.room.name', { name: 'Named' })
      await filtered(alice, lazy({}, 1))
      const next = async (filter: Filter) => membersIn((await filtered(alice, filter)).rooms.join[room.roomId].state)
      const { since } = alice
      await room.say(carol, 'one')
      assert.deepEqual(await next(lazy()), [carol.userId])
      alice.since = since
      assert.deepEqual(await next(lazy()), [carol.userId])
      await room.say(carol, 'two')
      assert.deepEqual(await next(lazy()), [])
      await room.say(bob, 'three')
      await room.say(carol, 'four')
      assert.deepEqual(
        sorted(await next(lazy({ include_redundant_members: true }))),
        sorted([bob.userId, carol.userId]),
      )
    })

    test('whose membership changed in a gap is told in any case', async () => {
      const { alice, bob, carol, room } = await withCarol()
      await filtered(alice, lazy())
      await room.change(carol, carol, 'leave')
      for (let n = 0; n < 3; n++) await room.say(bob, `${n}`)
      const { state } = (await filtered(alice, lazy({}, 1))).rooms.join[room.roomId]
      assert.ok(membersIn(state).includes(carol.userId))
    })
  })

  describe('what is no event', () => {
    test('typing, receipts, tags and the fully read marker', async () => {
      const { alice, bob, room } = await start(database)
      await room.change(bob, bob, 'join')
      const eventId = await room.say(alice, 'hello')
      await alice.sync()
      await bob.request('PUT', `${room.path}/typing/${encodeURIComponent(bob.userId)}`, {
        typing: true,
        timeout: 30_000,
      })
      await bob.request('POST', `${room.path}/receipt/m.read/${encodeURIComponent(eventId)}`, {})
      await alice.request('PUT', `/user/${encodeURIComponent(alice.userId)}${room.path}/tags/work`, { order: 0.5 })
      await alice.request('POST', `${room.path}/read_markers`, { 'm.fully_read': eventId })
      const { ephemeral, account_data: data, timeline } = (await alice.sync()).rooms.join[room.roomId]
      const typing = ephemeral.events.find(({ type }: Body) => type === 'm.typing')
      assert.deepEqual(typing.content, { user_ids: [bob.userId] })
      const receipt = ephemeral.events.find(({ type }: Body) => type === 'm.receipt')
      assert.ok(receipt.content[eventId]['m.read'][bob.userId])
      assert.deepEqual(sorted(types(data)), ['m.fully_read', 'm.tag'])
      assert.deepEqual(timeline.events, [])
      const chosen = { room: { ephemeral: { types: [] }, account_data: { not_types: ['m.tag'] } } }
      alice.since = undefined
      const again = (await filtered(alice, chosen)).rooms.join[room.roomId]
      assert.deepEqual([again.ephemeral.events, types(again.account_data)], [[], ['m.fully_read']])
    })

    test('of a room that is new to the user, what was there before', async () => {
      const { alice, bob, room } = await start(database)
      const eventId = await room.say(alice, 'hello')
      await alice.request('POST', `${room.path}/receipt/m.read/${encodeURIComponent(eventId)}`, {})
      await bob.sync()
      await room.change(bob, bob, 'join')
      const { ephemeral } = (await bob.sync()).rooms.join[room.roomId]
      assert.deepEqual(types(ephemeral), ['m.receipt'])
    })
  })

  describe('what there was before /sync', () => {
    const get = async (client: TestClient, path: string) => {
      const { status, body } = await client.request('GET', path)
      assert.equal(status, 200, JSON.stringify(body))
      return body
    }

    test('initialSync has rooms, invitations and, if asked for, what was left', async () => {
      const { alice, bob, room } = await start(database)
      const [left, open] = [await testRoom(alice), await testRoom(alice)]
      for (const one of [room, left]) await one.change(bob, bob, 'join')
      await room.say(alice, 'hello')
      await left.change(bob, bob, 'leave')
      await open.change(alice, bob, 'invite')
      const body = await get(bob, '/initialSync?limit=1&archived=true')
      const found = new Map<string, Body>(body.rooms.map((one: Body) => [one.room_id, one]))
      const joined = found.get(room.roomId)
      assert.equal(joined.membership, 'join')
      assert.deepEqual([joined.messages.chunk[0].content.body, joined.messages.chunk.length], ['hello', 1])
      assert.ok(joined.state.some(({ type, room_id: id }: Body) => type === 'm.room.create' && id === room.roomId))
      assert.equal(found.get(left.roomId).membership, 'leave')
      assert.equal(found.get(open.roomId).invite.content.membership, 'invite')
      const later = await get(bob, '/initialSync')
      assert.equal(later.rooms.length, 2)
      for (const limit of ['x', '-1'])
        assert.equal((await bob.request('GET', `/initialSync?limit=${limit}`)).status, 400)
    })

    test('events waits for what happens, and has it alone', async () => {
      const { alice, bob, room, settle } = await start(database)
      await room.change(bob, bob, 'join')
      const { end } = await get(bob, '/events?timeout=0')
      const waiting = get(bob, `/events?from=${end}&timeout=30000`)
      await settle()
      await room.say(alice, 'hello')
      const { chunk, end: next } = await waiting
      const said = chunk.filter(({ type }: Body) => type === 'm.room.message')
      assert.deepEqual([said.length, said[0].content.body, said[0].room_id], [1, 'hello', room.roomId])
      const again = (await get(bob, `/events?from=${next}&timeout=0`)).chunk
      assert.equal(again.filter(({ type }: Body) => type === 'm.room.message').length, 0)
    })

    test('the events of one room are for whoever may read it', async () => {
      const { alice, bob, room, settle } = await start(database)
      const path = `/events?room_id=${encodeURIComponent(room.roomId)}`
      assert.equal((await bob.request('GET', `${path}&timeout=0`)).status, 403)
      assert.equal((await bob.request('GET', `${room.path}/initialSync`)).status, 403)
      await room.set(alice, 'm.room.history_visibility', { history_visibility: 'world_readable' })
      const { messages, state, membership } = await get(bob, `${room.path}/initialSync`)
      assert.deepEqual([membership, messages.chunk.length > 0, state.length > 0], ['leave', true, true])
      const waiting = get(bob, `${path}&timeout=30000&from=${messages.end}`)
      await settle()
      await room.say(alice, 'hello')
      assert.equal((await waiting).chunk[0].content.body, 'hello')
    })
  })

  describe('device lists', () => {
    async function changes(client: TestClient, from: string) {
      const { body } = await client.request('GET', `/keys/changes?from=${from}&to=${client.since}`)
      return { changed: sorted(body.changed), left: sorted(body.left) }
    }

    async function told(client: TestClient) {
      const from = client.since!
      const { device_lists: lists } = await client.sync()
      const news = { changed: sorted(lists.changed), left: sorted(lists.left) }
      assert.deepEqual(await changes(client, from), news)
      return news
    }

    test('who comes is changed, on both sides', async () => {
      const { alice, bob, room } = await start(database)
      for (const one of [alice, bob]) await one.sync()
      await room.change(bob, bob, 'join')
      assert.deepEqual(await told(alice), { changed: [bob.userId], left: [] })
      // The devices of bob, too, are new to that room.
      assert.deepEqual(await told(bob), { changed: [alice.userId, bob.userId], left: [] })
      assert.deepEqual(await told(bob), { changed: [], left: [] })
    })

    for (const how of ['leave', 'kick', 'ban'] as const) {
      test(`after a ${how}, left, on both sides, unless another room is shared`, async () => {
        const { alice, bob, room } = await start(database)
        const other = await testRoom(alice)
        for (const one of [room, other]) await one.change(bob, bob, 'join')
        for (const one of [alice, bob]) await one.sync()
        const part = (one: typeof room) =>
          one.change(how === 'leave' ? bob : alice, bob, how === 'ban' ? 'ban' : 'leave')
        await part(other)
        assert.deepEqual(await told(alice), { changed: [], left: [] })
        assert.deepEqual(await told(bob), { changed: [], left: [] })
        await part(room)
        assert.deepEqual(await told(alice), { changed: [], left: [bob.userId] })
        assert.deepEqual(await told(bob), { changed: [], left: [alice.userId] })
      })
    }

    test('who is invited is changed', async () => {
      const { alice, bob, room } = await start(database)
      await alice.sync()
      await room.change(alice, bob, 'invite')
      assert.deepEqual(await told(alice), { changed: [bob.userId], left: [] })
    })

    test('who leaves and comes back is changed alone', async () => {
      const { alice, bob, room } = await start(database)
      await room.change(bob, bob, 'join')
      for (const one of [alice, bob]) await one.sync()
      await room.change(bob, bob, 'leave')
      await room.change(bob, bob, 'join')
      assert.deepEqual(await told(alice), { changed: [bob.userId], left: [] })
      assert.deepEqual(await told(bob), { changed: [alice.userId, bob.userId], left: [] })
    })
  })
})
